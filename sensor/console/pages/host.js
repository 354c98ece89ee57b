// One host: what it does now, its alerts, and both on a line of time.

import { encoded, h } from '../dom.js';
import { path } from '../api.js';
import { ago, bytesPerSecond, clock, count, figure, perSecond, plural, when } from '../format.js';
import { alertLink, empty, facts, panel, resource } from '../parts.js';
import { alertState, severity } from '../severity.js';
import { onAlert } from '../state.js';
import { flowTable } from './flow_table.js';

const EVERY = 2000;
const ROWS = 24;

export function host({ id, update }) {
  const own = resource(update);
  const load = () => own.load(path('hosts', id), EVERY);
  const leave = onAlert((alert) => {
    if ([alert.source_ip, alert.destination_ip].includes(id)) load();
  });
  load();
  return {
    title: id,
    stop() {
      leave();
      own.stop();
    },
    view: () => [
      h(
        'div',
        { class: 'page-head' },
        h('h1', { class: 'mono' }, h('bdi', {}, id)),
        h('span', { class: 'spring' }),
        h('a', { class: 'button', href: `#/alerts?state=&host=${encoded(id)}` }, 'Its alerts'),
        h('a', { class: 'button', href: `#/flows?host=${encoded(id)}` }, 'Its flows'),
      ),
      own.show(body, 8),
    ],
  };

  function body(data) {
    const now = data.host;
    const alerts = data.alerts ?? [];
    const flows = data.flows ?? [];
    return [
      panel(
        'Now',
        now?.flows || now?.packets_per_second
          ? facts([
              ['Packets', perSecond(now.packets_per_second)],
              ['Bytes', bytesPerSecond(now.bytes_per_second)],
              ['Flows', count(now.flows)],
              ['Peers', count(now.peers)],
              ['Score', figure(now.score)],
              ['Alerts', count(now.alerts)],
            ])
          : empty('It does not talk now', 'Its alerts stay here.'),
      ),
      panel('Timeline', timeline(flows, alerts)),
      panel(
        'Alerts',
        alerts.length
          ? h(
              'ul',
              { class: 'groups' },
              alerts.map((alert) =>
                h(
                  'li',
                  { key: alert.threat_id, class: `group ${alert.severity}` },
                  h(
                    'div',
                    { class: 'group-line' },
                    severity(alert.severity),
                    alertLink(alert.threat_id, h('b', {}, alert.threat_type)),
                    h('span', { class: 'quiet' }, alert.source_ip === id ? 'from it' : 'to it'),
                    alertState(alert),
                    h('span', { class: 'spring' }),
                    when(alert.details?.last_seen || alert.timestamp, ago),
                  ),
                  h('p', { class: 'group-text' }, alert.details?.narrative),
                ),
              ),
            )
          : empty('No alert about this host'),
      ),
      panel('Flows now', flows.length ? flowTable(flows) : empty('No flow now')),
    ];
  }
}

// A bar for each flow's life, a mark for each alert.
function timeline(flows, alerts) {
  const bars = flows
    .map((flow) => ({ from: Date.parse(flow.first_seen), to: Date.parse(flow.last_seen), flow }))
    .filter((bar) => bar.from && bar.to)
    .sort((one, other) => one.from - other.from)
    .slice(-ROWS);
  const marks = alerts.map((alert) => ({ time: Date.parse(alert.timestamp), alert })).filter((mark) => mark.time);
  const latest = Math.max(...bars.map((bar) => bar.to), ...marks.map((mark) => mark.time), 0);
  if (!latest) return empty('Nothing to draw');
  const end = Math.max(latest, Date.now());
  const oldest = Math.min(
    ...bars.map((bar) => bar.from),
    ...marks.map((mark) => mark.time).filter((time) => end - time < 86_400_000),
    end - 60_000,
  );
  const x = (time) => 4 + ((Math.max(time, oldest) - oldest) / (end - oldest)) * 992;
  const tall = 26 + bars.length * 7;
  const shownMarks = marks.filter((mark) => mark.time >= oldest);
  return [
    h(
      'div',
      { class: 'timeline' },
      h(
        'svg',
        {
          viewBox: `0 0 1000 ${tall}`,
          height: tall,
          preserveAspectRatio: 'none',
          role: 'img',
          'aria-label': `${bars.length} flows and ${shownMarks.length} alerts from ${clock(oldest)} to ${clock(end)}`,
        },
        h('line', { class: 'axis', x1: 0, x2: 1000, y1: 20, y2: 20 }),
        bars.map((bar, at) =>
          h(
            'rect',
            {
              class: bar.flow.threshold && bar.flow.score > bar.flow.threshold ? 'life above' : 'life',
              x: x(bar.from),
              width: Math.max(2, x(bar.to) - x(bar.from)),
              y: 25 + at * 7,
              height: 4,
            },
            h(
              'title',
              {},
              `${bar.flow.source_ip}:${bar.flow.source_port} → ${bar.flow.destination_ip}:${bar.flow.destination_port} ${bar.flow.protocol}`,
            ),
          ),
        ),
        shownMarks.map((mark) =>
          h(
            'rect',
            { class: `mark ${mark.alert.severity}`, x: x(mark.time) - 2, width: 4, y: 4, height: 14 },
            h('title', {}, `${mark.alert.threat_type} ${clock(mark.time)}`),
          ),
        ),
      ),
    ),
    h(
      'p',
      { class: 'timeline-ends quiet number' },
      h('span', {}, clock(oldest)),
      h('span', {}, `${plural(shownMarks.length, 'alert')} above the line, flows below`),
      h('span', {}, clock(end)),
    ),
  ];
}
