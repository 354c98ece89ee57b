// Severities, states and groups of alerts: a shape, a colour and a word each, never colour alone.

import { h } from './dom.js';

export const SEVERITIES = ['critical', 'high', 'medium', 'low'];
export const TYPES = [
  'DoS',
  'DDoS',
  'PortScan',
  'WebAttack',
  'Infiltration',
  'Bot',
  'BruteForce',
  'Exfiltration',
  'Anomaly',
];

const SHAPES = {
  critical: 'M6 0.5 11.5 6 6 11.5 0.5 6Z',
  high: 'M6 1 11.5 11H0.5Z',
  medium: 'M1.5 1.5h9v9h-9Z',
  low: 'M6 1.5a4.5 4.5 0 1 0 0.01 0Z',
  ok: 'M1 6.5 4.5 10 11 2.5',
  degraded: 'M6 1 11.5 11H0.5Z',
  failed: 'M6 0.5 11.5 6 6 11.5 0.5 6Z',
  unknown: 'M2 6h8',
};
const LINES = new Set(['ok', 'unknown']);

export const rank = (severity) => SEVERITIES.length - Math.max(0, SEVERITIES.indexOf(severity));

export function shape(kind) {
  const known = kind in SHAPES ? kind : 'unknown';
  return h(
    'svg',
    { class: `shape ${known}${LINES.has(known) ? ' line' : ''}`, viewBox: '0 0 12 12', 'aria-hidden': 'true' },
    h('path', { d: SHAPES[known] }),
  );
}

export function severity(kind) {
  const known = SEVERITIES.includes(kind) ? kind : 'low';
  return h('span', { class: `severity ${known}` }, shape(known), known);
}

const STATES = { open: 'open', acknowledged: 'acknowledged', resolved: 'resolved' };

export function alertState(alert) {
  const known = STATES[alert.state] ?? 'open';
  return h('span', { class: `state ${known}` }, known);
}

// Who did it, in words where there is no one address.
export const sourceOf = (alert) =>
  alert.source_ip || alert.details?.source_mac || (alert.destination_ip ? 'many hosts' : 'this link');

// Alerts of one source and type are one line: newest first inside, worst and newest groups first.
export function grouped(alerts) {
  const groups = new Map();
  for (const alert of alerts) {
    const key = `${alert.threat_type}|${alert.source_ip}`;
    const group = groups.get(key) ?? {
      key,
      type: alert.threat_type,
      source: alert.source_ip,
      from: sourceOf(alert),
      alerts: [],
    };
    group.alerts.push(alert);
    groups.set(key, group);
  }
  for (const group of groups.values()) {
    group.alerts.sort(newestFirst);
    group.worst = group.alerts.reduce(
      (worst, alert) => (rank(alert.severity) > rank(worst) ? alert.severity : worst),
      'low',
    );
    group.latest = group.alerts[0].details?.last_seen || group.alerts[0].timestamp;
    group.windows = group.alerts.reduce((sum, alert) => sum + (alert.details?.count ?? 1), 0);
    group.targets = new Set(group.alerts.map((alert) => alert.destination_ip || 'many hosts'));
    group.ports = new Set(group.alerts.map((alert) => alert.destination_port).filter(Boolean));
    group.open = group.alerts.filter((alert) => alert.state === 'open').length;
  }
  return [...groups.values()].sort(
    (one, other) => rank(other.worst) - rank(one.worst) || (one.latest < other.latest ? 1 : -1),
  );
}

export function newestFirst(one, other) {
  if (one.timestamp !== other.timestamp) return one.timestamp < other.timestamp ? 1 : -1;
  return one.threat_id < other.threat_id ? 1 : -1;
}
