// What a person does about an alert.

import { path, post } from './api.js';
import { failure, form, notice } from './notices.js';
import { mayWrite, takeAlert } from './state.js';
import { h } from './dom.js';
import { sourceOf } from './severity.js';

const READ_ONLY = 'Your access may only read: sign in with a token of scope write';

// Answers to whether the recommendation helped, as the sensor takes them.
const HELPED = { 'not tried': null, yes: true, no: false };

async function act(alert, verb, body) {
  const answer = await post(`${path('alerts', alert.threat_id)}/${verb}`, body);
  if (answer?.threat_id) takeAlert(answer);
}

export async function acknowledge(alert) {
  if (!may() || alert.state !== 'open') return;
  try {
    await act(alert, 'acknowledge', { note: '' });
    notice(`Acknowledged ${alert.threat_id}`, 'ok');
  } catch (problem) {
    failure(problem);
  }
}

export async function reopen(alert) {
  if (!may()) return;
  try {
    await act(alert, 'reopen', {});
    notice(`Reopened ${alert.threat_id}`, 'ok');
  } catch (problem) {
    failure(problem);
  }
}

export function resolve(alert) {
  if (!may() || alert.state === 'resolved') return;
  form({
    title: `Resolve ${alert.threat_type} from ${sourceOf(alert)}`,
    intro: 'What you write here is what the sensor recommends next time something alike happens.',
    action: 'Resolve',
    fields: [
      {
        name: 'action',
        label: 'What was done',
        kind: 'area',
        hint: 'For example: blocked 10.0.0.7 at the edge, rotated the key of the backup user',
      },
      { name: 'root_cause', label: 'Root cause', kind: 'area' },
      { name: 'note', label: 'Note', kind: 'text' },
      ...(alert.recommendation
        ? [
            {
              name: 'recommendation_worked',
              label: `Did the recommendation help? (${alert.recommendation.incident_id})`,
              kind: 'select',
              options: Object.keys(HELPED),
            },
          ]
        : []),
      { name: 'false_positive', label: 'False alarm: this was ordinary traffic', kind: 'check' },
    ],
    submit: async (values) => {
      await act(alert, 'resolve', { ...values, recommendation_worked: HELPED[values.recommendation_worked] ?? null });
      notice(`Resolved ${alert.threat_id}`, 'ok');
    },
  });
}

function may() {
  if (mayWrite()) return true;
  notice(READ_ONLY, 'failed');
  return false;
}

export function button(
  text,
  onclick,
  { primary = false, danger = false, hint = null, shortcut = null, write = true } = {},
) {
  const refused = write && !mayWrite();
  return h(
    'button',
    {
      type: 'button',
      class: primary ? 'primary' : danger ? 'danger' : '',
      disabled: refused,
      title: refused ? READ_ONLY : hint,
      onclick,
      'aria-keyshortcuts': shortcut,
    },
    text,
    shortcut ? h('kbd', { 'aria-hidden': 'true' }, shortcut) : null,
  );
}
