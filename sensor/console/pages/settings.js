// Settings, to read; sinks, with what they could not deliver; who changed what.

import { h } from '../dom.js';
import { path, post, query } from '../api.js';
import { button } from '../actions.js';
import { ago, count, plural, when } from '../format.js';
import { failure, notice } from '../notices.js';
import { empty, facts, panel, resource, table, tree } from '../parts.js';
import { shape } from '../severity.js';
import { mayAdminister, mayWrite, state } from '../state.js';

export function settings({ update }) {
  const config = resource(update);
  const sinks = resource(update);
  const audit = resource(update);
  const loadSinks = () => sinks.load('api/v1/sinks', 5000);
  config.load('api/v1/config');
  loadSinks();
  audit.load(query('api/v1/audit', { limit: 50 }), 15_000);
  const busy = new Set();

  async function act(name, verb, done) {
    busy.add(name + verb);
    update();
    try {
      await post(`${path('sinks', name)}/${verb}`);
      notice(done, 'ok');
    } catch (problem) {
      failure(problem);
    }
    busy.delete(name + verb);
    loadSinks();
    update();
  }

  async function reload() {
    try {
      const { warnings = [] } = await post('api/v1/config/reload');
      notice(['The configuration was read again', ...warnings].join('. '), warnings.length ? 'info' : 'ok');
      config.load('api/v1/config');
    } catch (problem) {
      failure(problem);
    }
  }

  function sinkPanel(data) {
    const items = data.items;
    if (!items.length)
      return empty(
        'No sink is configured',
        'Add a section such as [sinks.webhook] to the configuration file, then reload it.',
      );
    return items.map((sink) =>
      h(
        'section',
        { class: 'sink', key: sink.name, 'aria-label': `sink ${sink.name}` },
        h(
          'div',
          { class: 'bar-line' },
          h(
            'span',
            {},
            shape(sink.failing ? 'failed' : sink.dead_letter ? 'degraded' : 'ok'),
            ' ',
            h('b', {}, sink.name),
            sink.kind && sink.kind !== sink.name ? h('span', { class: 'quiet' }, ` ${sink.kind}`) : null,
          ),
          h('span', { class: 'spring' }),
          button(busy.has(`${sink.name}test`) ? 'Testing…' : 'Test', () =>
            act(sink.name, 'test', `${sink.name} took the test message`),
          ),
          sink.dead_letter
            ? button('Retry dead letters', () => act(sink.name, 'retry', 'Dead letters are tried again'))
            : null,
        ),
        sink.failing ? h('p', { class: 'problem-line' }, sink.failing) : null,
        facts([
          ['Delivered', count(sink.delivered)],
          ['Pending', count(sink.pending)],
          ['Dead letters', count(sink.dead_letter)],
          ['Expired', count(sink.expired)],
          ['Oldest pending', sink.oldest_pending ? when(sink.oldest_pending, ago) : null],
          ['To', sink.target ?? sink.address ?? null],
        ]),
        letters(sink.dead_letters ?? []),
      ),
    );
  }

  function letters(items) {
    if (!Array.isArray(items) || !items.length) return null;
    return table(
      'Dead letters',
      [
        ['When', '', (one) => when(one.time ?? one.created_at)],
        ['About', 'mono', (one) => one.about ?? one.threat_id ?? one.event ?? one.id],
        ['Attempts', 'right number', (one) => count(one.attempts)],
        ['Last answer', 'grow', (one) => one.error ?? one.last_error ?? one.reason],
      ],
      items,
    );
  }

  return {
    title: 'Settings',
    stop() {
      for (const one of [config, sinks, audit]) one.stop();
    },
    view: () => [
      h(
        'div',
        { class: 'page-head' },
        h('h1', {}, 'Settings'),
        h('span', { class: 'spring' }),
        mayAdminister() ? button('Read the file again', reload) : null,
      ),
      panel('Sinks', sinks.show(sinkPanel)),
      panel(
        'Access',
        facts([
          ['You are', state.session ? state.session.name : 'not named: this address asks for no token'],
          ['Scope', state.session?.scope ?? (mayWrite() ? 'write' : 'read')],
        ]),
        h(
          'p',
          { class: 'quiet' },
          'On a loopback address no token is needed. Any other address needs TLS and tokens; ',
          h('code', {}, 'vesper token new NAME --scope read|write|admin'),
          ' makes one and shows it once.',
        ),
      ),
      panel(
        'Who changed what',
        audit.show((data) =>
          data.items?.length
            ? table(
                'Audit',
                [
                  ['When', '', (one) => when(one.time)],
                  ['Who', '', (one) => one.who],
                  ['What', '', (one) => one.action],
                  ['Of', 'mono', (one) => one.target],
                  ['Detail', 'grow', (one) => one.detail],
                ],
                data.items,
              )
            : empty('Nothing was changed yet', 'Every change through the API is kept here.'),
        ),
      ),
      panel(
        [
          'Configuration',
          h('span', { class: 'quiet' }, 'read-only; secrets are left out; edit the file and read it again'),
        ],
        config.show((data) => sections(data), 6),
      ),
    ],
  };
}

function sections(config) {
  const single = Object.entries(config).filter(([, value]) => value === null || typeof value !== 'object');
  const parts = Object.entries(config).filter(([, value]) => value !== null && typeof value === 'object');
  return [
    single.length ? tree(Object.fromEntries(single)) : null,
    parts.map(([name, value]) =>
      h(
        'details',
        { class: 'section', key: name },
        h(
          'summary',
          {},
          h('code', {}, `[${name}]`),
          h('span', { class: 'quiet' }, ` ${plural(Object.keys(value).length, 'setting')}`),
        ),
        tree(value),
      ),
    ),
  ];
}
