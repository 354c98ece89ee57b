// What every page reads: the latest status, the alerts that stand, who is asking and whether the line is live.

import { get, query } from './api.js';
import { connect } from './live.js';

const STATUS_EVERY = 1000;
const STATUS_EVERY_HIDDEN = 10_000;
const MOST_ALERTS = 1000;
const MOST_NOTES = 50;

export const state = {
  status: null,
  statusProblem: null,
  statusAt: 0,
  session: null,
  connection: { state: 'connecting', since: Date.now() },
  alerts: new Map(),
  alertsProblem: null,
  alertsLoaded: false,
  notes: [],
  signedOut: false,
};

const watchers = new Set();
const alertWatchers = new Set();
let pending = false;

export function onChange(callback) {
  watchers.add(callback);
  return () => watchers.delete(callback);
}

// `callback(alert, isNew)` for each alert that comes over the wire.
export function onAlert(callback) {
  alertWatchers.add(callback);
  return () => alertWatchers.delete(callback);
}

// Many changes in one turn are one redraw.
export function changed() {
  if (pending) return;
  pending = true;
  setTimeout(() => {
    pending = false;
    for (const watcher of [...watchers]) watcher();
  }, 0);
}

export const mayWrite = () => state.status?.access?.write === true;
export const mayAdminister = () => state.status?.access?.admin === true;

// Of the alerts that nobody acknowledged. Where not all of them are here, the status knows how many there are.
export function openBySeverity() {
  const counts = {};
  let sum = 0;
  for (const alert of state.alerts.values()) {
    if (alert.state !== 'open') continue;
    counts[alert.severity] = (counts[alert.severity] ?? 0) + 1;
    sum += 1;
  }
  const { open = 0, by_severity: all = {} } = state.status?.alerts ?? {};
  return sum >= open ? counts : all;
}

export function start() {
  state.signedOut = false;
  get('api/v1/session')
    .then((session) => {
      state.session = session;
      changed();
    })
    .catch(() => {});
  const line = connect({
    message,
    changed: (now) => {
      const back = now.state === 'live' && state.connection.lost;
      state.connection = {
        state: now.state,
        since: now.since,
        retryAt: now.retryAt,
        lost: now.state === 'reconnecting',
      };
      // What changed while nobody listened, if the sensor no longer has the messages.
      if (back) loadAlerts();
      changed();
    },
  });
  loadAlerts();
  pollStatus();
  return () => {
    line.stop();
    clearTimeout(statusTimer);
  };
}

let statusTimer = 0;

async function pollStatus() {
  try {
    state.status = await get('api/v1/status');
    state.statusProblem = null;
    state.statusAt = Date.now();
  } catch (problem) {
    state.statusProblem = problem;
  }
  changed();
  clearTimeout(statusTimer);
  if (!state.signedOut) statusTimer = setTimeout(pollStatus, document.hidden ? STATUS_EVERY_HIDDEN : STATUS_EVERY);
}

document.addEventListener('visibilitychange', () => {
  if (!document.hidden && statusTimer && !state.signedOut) {
    clearTimeout(statusTimer);
    pollStatus();
  }
});

export async function loadAlerts() {
  try {
    const pages = await Promise.all(
      ['open', 'acknowledged'].map((wanted) => get(query('api/v1/alerts', { state: wanted, limit: 200 }))),
    );
    const known = state.alerts;
    state.alerts = new Map();
    for (const alert of pages.flatMap((page) => page.items)) keep(newer(known.get(alert.threat_id), alert));
    state.alertsProblem = null;
    state.alertsLoaded = true;
  } catch (problem) {
    state.alertsProblem = problem;
  }
  changed();
}

// An answer may be older than a message that overtook it.
function newer(one, other) {
  if (!one) return other;
  return (one.updated_at ?? '') > (other.updated_at ?? '') ? one : other;
}

function keep(alert) {
  state.alerts.set(alert.threat_id, alert);
  if (state.alerts.size > MOST_ALERTS) state.alerts.delete(state.alerts.keys().next().value);
}

// Takes an alert from an answer to an action, or from the wire.
export function takeAlert(alert) {
  if (!alert?.threat_id) return;
  const isNew = !state.alerts.has(alert.threat_id) && alert.state !== 'resolved';
  if (alert.state === 'resolved') state.alerts.delete(alert.threat_id);
  else keep(alert);
  for (const watcher of [...alertWatchers]) watcher(alert, isNew);
  changed();
}

function message({ type, id, data }) {
  if (type === 'anomaly') takeAlert(data);
  else if (type === 'system' && data?.message === 'connected') return;
  else if (type === 'system' && data?.after !== undefined) loadAlerts();
  else if (type === 'system' || type === 'decision') {
    state.notes.unshift({ id, type, data, time: data?.time ?? new Date().toISOString() });
    state.notes.length = Math.min(state.notes.length, MOST_NOTES);
    changed();
  }
}
