// Captures: files that are analysed, and sessions of the live interface.

import { encoded, h } from '../dom.js';
import { path, post, query, upload } from '../api.js';
import { button } from '../actions.js';
import { bytes, percent, when } from '../format.js';
import { failure, form, notice } from '../notices.js';
import { empty, facts, meter, panel, resource, table } from '../parts.js';
import { shape } from '../severity.js';
import { mayWrite, state } from '../state.js';
import { captureResult } from './capture_result.js';

const EVERY = 1000;
const LIST_EVERY = 5000;
const ENDED = ['done', 'failed', 'stopped'];
const MARKS = { done: 'ok', stopped: 'ok', failed: 'failed' };

export function captures({ id, update }) {
  const list = resource(update);
  const own = resource(() => {
    if (own.data && ENDED.includes(own.data.state)) own.rest();
    update();
  });
  let chosen = null;
  let sending = null;
  let over = false;
  let learned = true;

  const load = () => list.load(query('api/v1/captures', { limit: 50 }), LIST_EVERY);
  own.rest = () => {
    if (watching) {
      watching = false;
      own.load(path('captures', chosen));
    }
  };
  let watching = false;

  function moved(next) {
    chosen = next;
    if (next) {
      watching = true;
      own.load(path('captures', next), EVERY);
    }
    return true;
  }

  async function send(file) {
    if (!file || sending) return;
    sending = { name: file.name, size: file.size, part: 0 };
    update();
    const body = new FormData();
    body.append('model', learned ? 'all' : 'none');
    body.append('file', file, file.name);
    try {
      const job = await upload('api/v1/captures/analyze', body, (part) => {
        sending = { ...sending, part };
        update();
      });
      load();
      location.hash = `#/captures/${encoded(job.id)}`;
    } catch (problem) {
      failure(problem);
    }
    sending = null;
    update();
  }

  function start() {
    form({
      title: 'Start a session',
      intro: 'The sensor watches its interface all the time; a session collects what is found while it lasts.',
      action: 'Start',
      fields: [
        { name: 'interface', label: 'Interface', value: state.status?.interface ?? '', required: true },
        { name: 'duration', label: 'Seconds', value: '60', required: true },
        {
          name: 'filter',
          label: 'Filter',
          hint: 'tcp, udp, icmp, host IP, net CIDR, port N, with src, dst, and, or, not; empty is everything',
        },
      ],
      submit: async (values) => {
        const made = await post('api/v1/captures', {
          ...values,
          duration: Number(values.duration),
          filter: values.filter || null,
        });
        notice('Session started', 'ok');
        load();
        if (made?.id) location.hash = `#/captures/${encoded(made.id)}`;
      },
    });
  }

  async function stop(capture) {
    try {
      await post(`${path('captures', capture.id)}/stop`);
      load();
      moved(chosen);
    } catch (problem) {
      failure(problem);
    }
  }

  function dropZone() {
    const pick = (event) => {
      send(event.target.files[0]);
      event.target.value = '';
    };
    return h(
      'div',
      {
        class: `drop${over ? ' over' : ''}`,
        ondragover: (event) => {
          event.preventDefault();
          if (!over) {
            over = true;
            update();
          }
        },
        ondragleave: () => {
          over = false;
          update();
        },
        ondrop: (event) => {
          event.preventDefault();
          over = false;
          send(event.dataTransfer.files[0]);
        },
      },
      sending
        ? [
            h(
              'p',
              {},
              `Sending ${sending.name} (${bytes(sending.size)}) `,
              h('span', { class: 'number' }, sending.part === null ? '' : percent(sending.part)),
            ),
            meter(sending.part ?? 0, 'Upload'),
          ]
        : [
            h(
              'p',
              {},
              h(
                'label',
                { class: `button primary${mayWrite() ? '' : ' off'}`, for: 'capture-file' },
                'Choose a capture',
              ),
              h('input', {
                id: 'capture-file',
                class: 'file',
                type: 'file',
                accept: '.pcap,.pcapng,.cap,.gz',
                onchange: pick,
                disabled: !mayWrite(),
              }),
              ' or drop one here',
            ),
            h(
              'label',
              { class: 'inline check' },
              h('input', {
                type: 'checkbox',
                checked: learned,
                onchange: (event) => {
                  learned = event.target.checked;
                },
              }),
              'begin with what the sensor has learned',
            ),
            h(
              'p',
              { class: 'quiet' },
              mayWrite()
                ? 'pcap or pcapng, gzip too. It is analysed by the same pipeline as live traffic; the live model is not touched.'
                : 'Your access may only read: sign in with a token of scope write.',
            ),
          ],
    );
  }

  const stateOf = (capture) =>
    h(
      'span',
      { class: 'capture-state' },
      shape(MARKS[capture.state] ?? 'unknown'),
      ` ${capture.state}`,
      !ENDED.includes(capture.state) && Number.isFinite(capture.progress)
        ? h('span', { class: 'number' }, ` ${percent(capture.progress)}`)
        : null,
    );

  function history(data) {
    if (!data.items.length)
      return empty('No capture yet', 'Analyse a file above, or start a session on the live interface.');
    return table(
      'Captures',
      [
        [
          'Capture',
          '',
          (one) =>
            h(
              'a',
              {
                href: `#/captures/${encoded(one.id)}`,
                'data-row': '',
                'aria-current': chosen === one.id ? 'true' : null,
              },
              one.name || one.id,
            ),
        ],
        ['Kind', '', (one) => one.kind],
        ['Size', 'right number', (one) => (one.bytes ? bytes(one.bytes) : '')],
        ['State', '', stateOf],
        ['Started', '', (one) => when(one.started_at)],
        [
          '',
          'right',
          (one) => (ENDED.includes(one.state) || one.kind !== 'live' ? null : button('Stop', () => stop(one))),
        ],
      ],
      data.items,
      (one) => ({ key: one.id }),
    );
  }

  function detail(capture) {
    const running = !ENDED.includes(capture.state);
    return [
      panel(
        [
          capture.name || capture.id,
          h('span', { class: 'spring' }),
          stateOf(capture),
          running && capture.kind === 'live' ? button('Stop', () => stop(capture)) : null,
        ],
        facts([
          ['Kind', capture.kind],
          ['Size', capture.bytes ? bytes(capture.bytes) : null],
          ['Started', when(capture.started_at)],
          ['Ended', capture.finished_at ? when(capture.finished_at) : null],
          ['Model', capture.request?.model],
          ['Filter', capture.request?.filter],
        ]),
        running
          ? [
              meter(capture.progress ?? 0, 'Progress of the analysis'),
              h('p', { class: 'quiet' }, 'This page shows the result as soon as it is there.'),
            ]
          : null,
        capture.error ? h('p', { class: 'problem-line', role: 'alert' }, capture.error) : null,
      ),
      capture.result ? captureResult(capture.result) : null,
    ];
  }

  load();
  moved(id);
  return {
    get title() {
      return chosen ? `Capture ${chosen}` : 'Captures';
    },
    moved,
    stop() {
      list.stop();
      own.stop();
    },
    view: () => [
      h(
        'div',
        { class: 'page-head' },
        h('h1', {}, 'Captures'),
        h('span', { class: 'spring' }),
        button('Start a live session', start),
      ),
      dropZone(),
      chosen
        ? h(
            'section',
            { 'aria-label': 'Capture', class: 'chosen-capture' },
            h('a', { class: 'back', href: '#/captures' }, 'Close'),
            own.show(detail, 4),
          )
        : null,
      panel('History', list.show(history, 4)),
    ],
  };
}
