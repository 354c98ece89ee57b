// The result of an analysed capture: the summary `vesper analyze` prints, and its alerts.

import { h } from '../dom.js';
import { bytes, count, duration, endpoint, when } from '../format.js';
import { alertLink, empty, facts, panel, table, tree } from '../parts.js';
import { severity, shape } from '../severity.js';

const KNOWN = ['packets', 'bytes', 'flows', 'windows', 'alerts', 'first', 'last', 'duration_s', 'elapsed_s', 'threats', 'residue', 'truncated', 'warnings', 'found', 'threat_list'];

export function captureResult(result) {
  const off = Object.entries(result.residue ?? {}).filter(([, residue]) => residue !== 0);
  const found = result.found ?? result.threat_list ?? (Array.isArray(result.alerts) ? result.alerts : null);
  const rest = Object.fromEntries(Object.entries(result).filter(([name]) => !KNOWN.includes(name)));
  return [
    panel('Result', facts([
      ['Packets', count(result.packets)], ['Bytes', bytes(result.bytes)], ['Flows', count(result.flows)], ['Windows', count(result.windows)],
      ['Alerts', count(Array.isArray(result.alerts) ? result.alerts.length : result.alerts)],
      ['First packet', when(result.first)], ['Last packet', when(result.last)], ['Traffic of', duration(result.duration_s)], ['Analysed in', duration(result.elapsed_s)],
      ['Threats', Object.entries(result.threats ?? {}).map(([type, number]) => `${type} ${number}`).join(', ') || 'none'],
      ['Books', off.length ? h('span', {}, shape('degraded'), ` ${off.map(([name, residue]) => `${name} off by ${residue}`).join(', ')}`) : h('span', {}, shape('ok'), ' every packet accounted for')],
    ]),
    result.truncated ? h('p', { class: 'problem-line' }, 'The capture ends in the middle of a packet: what came before was analysed.') : null,
    (result.warnings ?? []).map((warning) => h('p', { class: 'warning-line' }, shape('degraded'), ' ', warning))),
    found ? panel('Alerts in it', found.length ? table('Alerts of the capture', [
      ['Severity', '', (alert) => severity(alert.severity)], ['Type', '', (alert) => alert.threat_type], ['From', 'mono', (alert) => alert.source_ip || 'the link'],
      ['To', 'mono', (alert) => endpoint(alert.destination_ip, alert.destination_port)], ['When', '', (alert) => when(alert.timestamp)],
      ['What', 'grow', (alert) => (alert.stored ? alertLink(alert.threat_id, alert.details?.narrative ?? alert.threat_id) : alert.details?.narrative)],
    ], found) : empty('No alert in this capture')) : null,
    Object.keys(rest).length ? h('details', { class: 'panel more-details' }, h('summary', {}, 'Everything else'), tree(rest)) : null,
  ];
}
