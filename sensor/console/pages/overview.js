// The first page: is the sensor seeing everything, is it ready, what is wrong now, does it get its word out.

import { h } from '../dom.js';
import { Board, Chart } from '../chart.js';
import { query } from '../api.js';
import {
  ago,
  bytesPerSecond,
  count,
  figure,
  measured,
  percent,
  perSecond,
  plural,
  si,
  when,
  wordsOf,
} from '../format.js';
import { alertLink, choices, empty, hostLink, loading, panel, problemBox, prose, resource } from '../parts.js';
import { alertState, grouped, severity, shape } from '../severity.js';
import { loadAlerts, openBySeverity, state } from '../state.js';
import { TALKERS, ledger, notes, parts, readiness, sinks, who } from './overview_parts.js';

const RANGES = [
  [10, '10 min'],
  [60, '1 h'],
  [360, '6 h'],
  [1440, '24 h'],
];
const GROUPS_SHOWN = 7;

export function overview({ update }) {
  let minutes = 10;
  const history = resource(() => {
    if (history.data) feed();
    update();
  });
  const talkers = resource(update);
  const board = new Board(update);
  const charts = [
    new Chart(board, { key: 'packets', title: 'Packets', format: perSecond }),
    new Chart(board, { key: 'bytes', title: 'Bytes', format: bytesPerSecond }),
    new Chart(board, {
      key: 'alerts',
      title: 'Alerts',
      format: (value) => si(value),
      kind: 'bars',
      tone: 'warn',
      least: 3,
    }),
    new Chart(board, { key: 'lost', title: 'Lost packets', format: perSecond, kind: 'bars', tone: 'bad', least: 4 }),
  ];

  function load() {
    history.load(query('api/v1/history', { minutes }), minutes <= 10 ? 1000 : minutes <= 60 ? 5000 : 30_000);
  }

  function feed() {
    const points = history.data.points.map((point) => ({ ...point, at: Date.parse(point.time) }));
    const end = Math.max(points.at(-1)?.at ?? 0, Date.now() - 3000);
    board.range = [end - minutes * 60_000, end];
    for (const chart of charts)
      chart.update(
        points.map((point) => ({ time: point.at, value: point[chart.key] })),
        history.data.step_s,
      );
  }

  function chartPanel() {
    const tools = [
      choices('Time range', RANGES, minutes, (value) => {
        minutes = value;
        board.zoom = null;
        load();
        update();
      }),
      board.zoom ? h('button', { type: 'button', onclick: () => board.zoomTo(null) }, 'Leave zoom') : null,
    ];
    return panel(
      ['Traffic', h('span', { class: 'spring' }), ...tools],
      history.problem && !history.data ? problemBox(history.problem, load) : null,
      h(
        'div',
        { class: 'charts' },
        charts.map((chart) => chart.slot()),
      ),
    );
  }

  load();
  talkers.load(query('api/v1/hosts', { sort: 'bytes', limit: TALKERS }), 2000);
  return {
    title: '',
    stop() {
      history.stop();
      talkers.stop();
    },
    selected: (row) => state.alerts.get(row),
    view() {
      const { status } = state;
      if (!status) return state.statusProblem ? problemBox(state.statusProblem) : loading(8);
      return [
        h('h1', { class: 'hidden' }, 'Overview'),
        h('div', { class: 'answers' }, seeing(status), ready(status), wrong(status), telling(status)),
        chartPanel(),
        h(
          'div',
          { class: 'overview' },
          h('div', { class: 'column' }, wrongNow(), who(talkers)),
          h('div', { class: 'column' }, ledger(status), readiness(status), parts(status), sinks(status), notes()),
        ),
      ];
    },
  };
}

function answer(question, kind, text, detail, href) {
  return h(
    href ? 'a' : 'div',
    { class: `answer ${kind}`, href },
    h('span', { class: 'question' }, question),
    h('span', { class: 'answer-text' }, shape(kind), text),
    h('span', { class: 'answer-detail' }, detail),
  );
}

const lostOf = (status) => status.drops.reduce((sum, drop) => sum + drop.count, 0);
const component = (status, name) => status.health.components.find((part) => part.name === name);

function seeing(status) {
  const question = 'Seeing everything?';
  const capture = component(status, 'capture');
  const pipeline = component(status, 'pipeline');
  const blind = [capture, pipeline].find((part) => part?.state === 'failed');
  if (blind) return answer(question, 'failed', 'Blind', blind.reason);
  const off = status.ledger.filter((row) => row.residue !== 0);
  if (off.length)
    return answer(
      question,
      'degraded',
      'Books do not balance',
      off.map((row) => `${row.equation} off by ${count(row.residue)}`).join(', '),
    );
  const nic = component(status, 'nic');
  if (nic && nic.state !== 'ok') return answer(question, 'degraded', 'Losing packets', nic.reason);
  const lost = lostOf(status);
  const seen = `${count(status.totals.packets)} packets, all accounted for`;
  return answer(question, 'ok', 'Yes', lost ? `${seen}; ${count(lost)} samples were not looked at` : seen);
}

function ready(status) {
  const { model } = status;
  const question = 'Ready?';
  if (model.state === 'active')
    return answer(
      question,
      'ok',
      'Yes',
      `alerts above a score of ${figure(model.threshold)}; model ${model.name}`,
      '#/model',
    );
  return answer(
    question,
    'degraded',
    `Not yet: ${model.state}`,
    `${percent(model.progress)} done; no alerts until it is active`,
    '#/model',
  );
}

function wrong(status) {
  const { open = 0, acknowledged = 0 } = status.alerts;
  const by = openBySeverity();
  const question = 'Anything wrong?';
  const worst = ['critical', 'high', 'medium', 'low'].find((name) => by[name] > 0);
  const busy = acknowledged ? `${count(acknowledged)} acknowledged` : 'nothing acknowledged';
  if (!open) return answer(question, 'ok', 'No', `no open alert, ${busy}`, '#/alerts');
  return answer(
    question,
    worst ?? 'high',
    `${count(open)} open`,
    `worst is ${worst ?? 'unknown'}, ${busy}`,
    '#/alerts',
  );
}

function telling(status) {
  const question = 'Getting its word out?';
  const failing = status.sinks.filter((sink) => sink.failing);
  const dead = status.sinks.reduce((sum, sink) => sum + sink.dead_letter, 0);
  if (!status.sinks.length)
    return answer(question, 'unknown', 'Only here', 'no sink is configured: alerts stay in this console', '#/settings');
  if (failing.length)
    return answer(
      question,
      'failed',
      `${failing.map((sink) => sink.name).join(', ')} failing`,
      failing[0].failing,
      '#/settings',
    );
  if (dead)
    return answer(
      question,
      'degraded',
      `${count(dead)} undeliverable`,
      'look at the dead letters in the settings',
      '#/settings',
    );
  const pending = status.sinks.reduce((sum, sink) => sum + sink.pending, 0);
  return answer(
    question,
    'ok',
    'Yes',
    `${plural(status.sinks.length, 'sink')}, ${plural(pending, 'message')} pending`,
    '#/settings',
  );
}

function wrongNow() {
  const title = ['Wrong now', h('span', { class: 'spring' }), h('a', { href: '#/alerts' }, 'All alerts')];
  if (state.alertsProblem && !state.alertsLoaded) return panel(title, problemBox(state.alertsProblem, loadAlerts));
  if (!state.alertsLoaded) return panel(title, loading(3));
  const groups = grouped([...state.alerts.values()]);
  const open = groups.filter((group) => group.open);
  const shown = open.slice(0, GROUPS_SHOWN);
  const rest = groups.length - shown.length;
  const { model } = state.status;
  if (!shown.length) {
    return panel(
      title,
      model.state === 'active'
        ? empty(
            'Nothing is wrong',
            'Alerts appear here as they are raised.',
            rest ? ` ${rest} acknowledged still stand.` : '',
          )
        : empty(
            `Still ${model.state}`,
            'The sensor learns what is normal on this network first. It raises no alert before it is active.',
          ),
    );
  }
  return panel(
    title,
    h('ul', { class: 'groups' }, shown.map(groupRow)),
    rest
      ? h('p', { class: 'quiet pad' }, h('a', { href: '#/alerts' }, `${rest} more`), ', acknowledged ones included')
      : null,
  );
}

function groupRow(group) {
  const [latest] = group.alerts;
  const top = (latest.details?.explanation ?? [])[0];
  const targets = group.targets.size === 1 ? [...group.targets][0] : `${group.targets.size} targets`;
  const ports = group.ports.size === 1 ? `:${[...group.ports][0]}` : '';
  return h(
    'li',
    { key: group.key, class: `group ${group.worst}` },
    h(
      'div',
      { class: 'group-line' },
      severity(group.worst),
      alertLink(latest.threat_id, h('b', {}, group.type)),
      group.alerts.length > 1 ? h('span', { class: 'times number' }, `×${group.alerts.length}`) : null,
      h(
        'span',
        { class: 'mono who' },
        group.source ? hostLink(group.source) : group.from,
        h('span', { class: 'quiet' }, ' → '),
        h('bdi', {}, targets + ports),
      ),
      group.open < group.alerts.length ? alertState({ state: 'acknowledged' }) : null,
      h('span', { class: 'spring' }),
      when(group.latest, ago),
    ),
    h('p', { class: 'group-text' }, latest.details?.narrative),
    latest.recommendation
      ? h(
          'p',
          { class: 'group-advice' },
          h('span', { class: 'tag' }, 'worked before'),
          ' ',
          prose(latest.recommendation.action, latest),
        )
      : top
        ? h(
            'p',
            { class: 'group-advice quiet' },
            `${percent(top.share)} of the score: ${wordsOf(top)}, ${measured(top.value, top.unit)} where ${measured(top.expected, top.unit)} was expected`,
          )
        : null,
  );
}
