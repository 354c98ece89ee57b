// What a capture or a session came to.

import { h } from '../dom.js';
import { bytes, clock, count, duration, endpoint, when } from '../format.js';
import { empty, facts, panel, table } from '../parts.js';
import { severity, shape, sourceOf } from '../severity.js';

const SHOWN = 200;

export function captureResult({ totals = {}, threats = [], breakdown = {}, timeline = [], truncated, warnings = [] }) {
  const types = Object.entries(breakdown).sort((one, other) => other[1] - one[1]);
  return [
    panel(
      'Result',
      facts([
        ['Packets', count(totals.packets)],
        ['Bytes', bytes(totals.bytes)],
        ['Flows', count(totals.flows)],
        ['Windows scored', count(totals.windows)],
        ['Traffic of', duration(totals.duration_s)],
        ['Threats', count(totals.threats)],
        ['By type', types.map(([type, number]) => `${type} ${number}`).join(', ')],
      ]),
      truncated
        ? h(
            'p',
            { class: 'warning-line' },
            shape('degraded'),
            ' The capture ends in the middle of a packet: what came before was analysed.',
          )
        : null,
      warnings.map((warning) => h('p', { class: 'warning-line' }, shape('degraded'), ' ', warning)),
      totals.threats > 0 ? overTime(timeline) : null,
    ),
    panel(
      'Threats in it',
      threats.length
        ? [
            table(
              'Threats of the capture',
              [
                ['Severity', '', (alert) => severity(alert.severity)],
                ['Type', '', (alert) => alert.threat_type],
                ['From', 'mono', (alert) => h('bdi', {}, sourceOf(alert))],
                ['To', 'mono', (alert) => h('bdi', {}, endpoint(alert.destination_ip, alert.destination_port))],
                ['When', '', (alert) => when(alert.timestamp)],
                ['What', 'grow', (alert) => alert.details?.narrative],
              ],
              threats.slice(0, SHOWN),
              (alert) => ({ key: alert.threat_id }),
            ),
            threats.length > SHOWN ? h('p', { class: 'quiet pad' }, `and ${count(threats.length - SHOWN)} more`) : null,
          ]
        : empty('No threat found'),
    ),
  ];
}

function overTime(timeline) {
  const most = Math.max(1, ...timeline.map((moment) => moment.threats));
  const wide = 1000 / Math.max(1, timeline.length);
  const [first, last] = [timeline[0], timeline[timeline.length - 1]];
  if (!first) return null;
  return h(
    'div',
    { class: 'timeline' },
    h('h3', {}, 'Over time'),
    h(
      'svg',
      {
        viewBox: '0 0 1000 40',
        height: 40,
        preserveAspectRatio: 'none',
        role: 'img',
        'aria-label': `threats over time, at most ${most} in one part`,
      },
      h('line', { class: 'axis', x1: 0, x2: 1000, y1: 39, y2: 39 }),
      timeline.map((moment, at) =>
        moment.threats
          ? h(
              'rect',
              {
                class: 'mark high',
                x: at * wide,
                width: Math.max(2, wide - 2),
                y: 38 - (36 * moment.threats) / most,
                height: (36 * moment.threats) / most,
              },
              h('title', {}, `${moment.threats} at ${clock(moment.time)}`),
            )
          : null,
      ),
    ),
    h('p', { class: 'timeline-ends quiet number' }, h('span', {}, when(first.time)), h('span', {}, when(last.time))),
  );
}
