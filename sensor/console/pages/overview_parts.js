// The right side of the overview, and who talks: what backs the four answers.

import { h } from '../dom.js';
import { bytesPerSecond, count, duration, figure, percent, perSecond, plural, si, when } from '../format.js';
import { empty, hostLink, meter, panel, table } from '../parts.js';
import { shape } from '../severity.js';
import { state } from '../state.js';

export const TALKERS = 6;

export function who(talkers) {
  return panel(
    ['Who talks now', h('span', { class: 'spring' }), h('a', { href: '#/hosts' }, 'All hosts')],
    talkers.show((data) =>
      data.items.length
        ? table(
            'Foremost hosts',
            [
              ['Host', '', (item) => hostLink(item.address)],
              ['Packets', 'right number', (item) => perSecond(item.packets_per_second)],
              ['Bytes', 'right number', (item) => bytesPerSecond(item.bytes_per_second)],
              ['Flows', 'right number', (item) => count(item.flows)],
              ['Peers', 'right number', (item) => count(item.peers)],
              ['Score', 'right number', (item) => figure(item.score)],
            ],
            data.items.slice(0, TALKERS),
            (item) => ({ key: item.address }),
          )
        : empty('Nobody talks now'),
    ),
  );
}

export function ledger(status) {
  const drops = status.drops.filter((drop) => drop.count > 0).sort((one, other) => other.count - one.count);
  return panel(
    ['Seeing everything', h('span', { class: 'quiet' }, 'residue of each equation')],
    h(
      'ul',
      { class: 'residues' },
      status.ledger.map((row) =>
        h(
          'li',
          {},
          h('span', {}, row.equation.replaceAll('_', ' ')),
          h('span', { class: 'number' }, shape(row.residue === 0 ? 'ok' : 'degraded'), ` ${count(row.residue)}`),
        ),
      ),
    ),
    h('h3', {}, 'Not looked at, by reason'),
    drops.length
      ? h(
          'table',
          { class: 'compact' },
          h(
            'tbody',
            {},
            drops.map((drop) =>
              h(
                'tr',
                {},
                h('th', { scope: 'row' }, String(drop.where).replaceAll('_', ' ')),
                h('td', { class: 'right number' }, count(drop.count)),
              ),
            ),
          ),
        )
      : h('p', { class: 'quiet' }, shape('ok'), ' nothing: every sample was looked at'),
  );
}

export function readiness(status) {
  const { model, flow_table: flows } = status;
  const fill = flows?.limit ? flows.entries / flows.limit : 0;
  return panel(
    ['Ready', h('span', { class: 'spring' }), h('a', { href: '#/model' }, 'Model')],
    h(
      'div',
      { class: 'bar-line' },
      h('span', {}, model.state),
      h(
        'span',
        { class: 'number' },
        model.state === 'active' ? `threshold ${figure(model.threshold)}` : percent(model.progress),
      ),
    ),
    meter(
      model.state === 'active' ? 1 : model.progress,
      'Progress of the model',
      model.state === 'active' ? 'done' : '',
    ),
    h(
      'p',
      { class: 'quiet' },
      model.state === 'active'
        ? `budget: ${plural(model.budget_per_hour, 'false alarm')} an hour`
        : 'first it learns, then it measures how far ordinary traffic deviates, then it is active',
    ),
    model.shadow
      ? h(
          'p',
          { class: 'quiet' },
          typeof model.shadow === 'string'
            ? `shadow: ${model.shadow}`
            : `a model in the shadow agrees on ${percent(model.shadow.agreement, 1)} of ${si(model.shadow.rows)} rows`,
        )
      : null,
    h(
      'div',
      { class: 'bar-line' },
      h('span', {}, 'flow table'),
      h('span', { class: 'number' }, `${si(flows?.entries)} of ${si(flows?.limit)}`),
    ),
    meter(fill, 'Fill of the flow table', fill > 0.9 ? 'warn' : ''),
  );
}

export function parts(status) {
  const order = { failed: 0, degraded: 1, ok: 2 };
  const list = [...status.health.components].sort((one, other) => order[one.state] - order[other.state]);
  return panel(
    'Parts of the sensor',
    h(
      'ul',
      { class: 'health-list' },
      list.map((part) =>
        h(
          'li',
          { key: part.name, class: part.state },
          shape(part.state),
          h(
            'span',
            {},
            h('b', {}, part.name),
            part.reason ? h('span', { class: 'reason' }, part.reason) : h('span', { class: 'quiet' }, ` ${part.state}`),
          ),
        ),
      ),
    ),
    h('p', { class: 'quiet' }, `started `, when(status.started), `, up ${duration(status.uptime_s)}`),
  );
}

export function sinks(status) {
  if (!status.sinks.length) return null;
  return panel(
    ['Sinks', h('span', { class: 'spring' }), h('a', { href: '#/settings' }, 'Settings')],
    h(
      'table',
      { class: 'compact' },
      h(
        'thead',
        {},
        h(
          'tr',
          {},
          ['Sink', 'Delivered', 'Pending', 'Dead', 'Expired'].map((text, at) =>
            h('th', { scope: 'col', class: at ? 'right' : '' }, text),
          ),
        ),
      ),
      h(
        'tbody',
        {},
        status.sinks.map((sink) =>
          h(
            'tr',
            {},
            h(
              'th',
              { scope: 'row' },
              shape(sink.failing ? 'failed' : sink.dead_letter ? 'degraded' : 'ok'),
              ` ${sink.name}`,
            ),
            [sink.delivered, sink.pending, sink.dead_letter, sink.expired].map((value) =>
              h('td', { class: 'right number' }, si(value)),
            ),
          ),
        ),
      ),
    ),
  );
}

export function notes() {
  if (!state.notes.length) return null;
  return panel(
    'What else happened',
    h(
      'ol',
      { class: 'story' },
      state.notes
        .slice(0, 6)
        .map((note) =>
          h(
            'li',
            {},
            when(note.time),
            h(
              'div',
              {},
              note.type === 'decision'
                ? `${note.data?.error_type ?? 'decision'}: ${note.data?.recommended_action ?? ''}`
                : (note.data?.message ??
                    note.data?.text ??
                    note.data?.reason ??
                    JSON.stringify(note.data).slice(0, 200)),
            ),
          ),
        ),
    ),
  );
}
