// The model: how far it is, how the scores run, what it was before.

import { h } from '../dom.js';
import { Board, Chart } from '../chart.js';
import { post, query } from '../api.js';
import { button } from '../actions.js';
import { ago, bytes, count, figure, percent, plural, when } from '../format.js';
import { form, notice } from '../notices.js';
import { choices, empty, facts, meter, panel, problemBox, resource, table, tree } from '../parts.js';
import { mayAdminister, state } from '../state.js';

const RANGES = [
  [60, '1 h'],
  [360, '6 h'],
  [1440, '24 h'],
];

export function model({ update }) {
  let minutes = 60;
  const own = resource(update);
  const history = resource(() => {
    if (history.data) feed();
    update();
  });
  const board = new Board(update);
  const scores = new Chart(board, { key: 'scores', title: 'Highest score', format: figure });
  const load = () => own.load('api/v1/model', 5000);
  const loadHistory = () => history.load(query('api/v1/history', { minutes }), 5000);

  function feed() {
    const points = history.data.points.map((point) => ({
      time: Date.parse(point.time),
      value: point.max_score ?? null,
    }));
    const end = Math.max(points.at(-1)?.time ?? 0, Date.now() - 3000);
    board.range = [end - minutes * 60_000, end];
    scores.update(points, history.data.step_s);
  }

  function ask(title, intro, action, url, body, done) {
    form({
      title,
      intro,
      action,
      fields: [],
      danger: true,
      submit: async () => {
        await post(url, body);
        notice(done, 'ok');
        load();
      },
    });
  }

  function actions(data) {
    if (!mayAdminister()) return h('p', { class: 'quiet' }, 'Promoting and rolling back need a token of scope admin.');
    const candidate = (data.models ?? []).some((one) => one.role === 'candidate');
    return h(
      'div',
      { class: 'actions' },
      candidate
        ? button('Promote the candidate', () =>
            ask(
              'Promote the candidate?',
              'It judges from now on; the present model stays as a snapshot.',
              'Promote',
              'api/v1/model/promote',
              {},
              'Asked for: the analysis takes it up between two windows',
            ),
          )
        : null,
      data.snapshots?.length
        ? button('Roll back', () =>
            ask(
              'Roll back to the latest snapshot that differs?',
              'What was learned since is no longer used.',
              'Roll back',
              'api/v1/model/rollback',
              { snapshot: null },
              'Asked for: the analysis takes it up between two windows',
            ),
          )
        : null,
    );
  }

  function snapshots(data) {
    const items = [...(data.snapshots ?? [])].reverse();
    if (!items.length) return empty('No snapshot yet', 'One is kept every so often (score.snapshot_every).');
    return table(
      'Snapshots',
      [
        ['Snapshot', 'mono', (name) => name],
        [
          '',
          'right',
          (name) =>
            mayAdminister()
              ? button('Roll back to it', () =>
                  ask(
                    `Roll back to ${name}?`,
                    'What was learned since is no longer used.',
                    'Roll back',
                    'api/v1/model/rollback',
                    { snapshot: name },
                    'Asked for: the analysis takes it up between two windows',
                  ),
                )
              : null,
        ],
      ],
      items,
      (name) => ({ key: name }),
    );
  }

  function learning(data) {
    const why = {
      anomalous: 'unusual',
      attack: 'part of an attack',
      reference: 'unusual to the frozen reference',
      ledger: 'the books did not balance',
      budget: 'training budget spent',
      calibrating: 'calibrating',
    };
    return panel(
      'Learning',
      facts([
        ['Training steps when saved', data.generation ? count(data.generation) : null],
        ['Saved', data.saved_at ? when(data.saved_at, ago) : 'not yet'],
        ['Rows learned from', count(data.trained)],
        ['Taken up on request', count(data.promoted)],
        ['Requests refused', count(data.refused)],
      ]),
      data.failing ? h('p', { class: 'problem-line' }, data.failing) : null,
      h('h3', {}, 'Rows not learned from, by reason'),
      h(
        'table',
        { class: 'compact' },
        h(
          'tbody',
          {},
          Object.entries(data.withheld ?? {}).map(([name, number]) =>
            h(
              'tr',
              {},
              h('th', { scope: 'row' }, why[name] ?? name),
              h('td', { class: 'right number' }, count(number)),
            ),
          ),
        ),
      ),
    );
  }

  function shadow(agreement) {
    if (!agreement) return null;
    return panel(
      'In the shadow',
      facts([
        ['Rows that both scored', count(agreement.rows)],
        ['Agreement', percent(agreement.agreement, 2)],
        ['Unusual to the live model', count(agreement.unusual_live)],
        ['Unusual to the other', count(agreement.unusual_shadow)],
      ]),
    );
  }

  load();
  loadHistory();
  return {
    title: 'Model',
    stop() {
      own.stop();
      history.stop();
    },
    view() {
      const now = state.status?.model;
      if (now && scores.mark !== (now.threshold || null)) {
        scores.mark = now.threshold || null;
        scores.draw();
      }
      return [
        h('div', { class: 'page-head' }, h('h1', {}, 'Model')),
        now
          ? panel(
              'Ready',
              h(
                'div',
                { class: 'bar-line' },
                h('b', {}, now.state),
                h('span', { class: 'number' }, now.state === 'active' ? 'raises alerts' : percent(now.progress)),
              ),
              meter(
                now.state === 'active' ? 1 : now.progress,
                'Progress of the model',
                now.state === 'active' ? 'done' : '',
              ),
              steps(now.state),
              facts([
                ['Model', now.name || null],
                ['Threshold', now.threshold ? `score ${figure(now.threshold)}` : null],
                ['Budget', `${plural(now.budget_per_hour, 'false alarm')} an hour on ordinary traffic`],
                ['Scored so far', `${count(state.status.totals.windows)} windows`],
              ]),
            )
          : null,
        panel(
          [
            'Scores',
            h('span', { class: 'quiet' }, now?.threshold ? `dashed: threshold ${figure(now.threshold)}` : null),
            h('span', { class: 'spring' }),
            choices('Time range', RANGES, minutes, (value) => {
              minutes = value;
              board.zoom = null;
              loadHistory();
              update();
            }),
            board.zoom ? h('button', { type: 'button', onclick: () => board.zoomTo(null) }, 'Leave zoom') : null,
          ],
          history.problem && !history.data ? problemBox(history.problem, loadHistory) : null,
          h('div', { class: 'charts one' }, scores.slot()),
        ),
        own.show(
          (data) => [
            learning(data),
            shadow(data.shadow),
            panel('Snapshots', actions(data), snapshots(data)),
            panel('Files', (data.models ?? []).length ? files(data.models) : empty('No model is saved yet')),
          ],
          5,
        ),
      ];
    },
  };
}

function files(models) {
  const columns = [
    ['File', 'mono', (one) => one.file],
    ['Role', '', (one) => one.role],
    ['Model', 'mono', (one) => (one.generation === undefined ? '–' : `ensemble-${one.generation}`)],
    ['State', '', (one) => one.state ?? '–'],
    ['Saved', '', (one) => (one.saved_at ? when(new Date(one.saved_at / 1e6).toISOString(), ago) : '–')],
    ['Threshold', 'right number', (one) => (one.threshold ? figure(one.threshold) : '–')],
    ['Size', 'right number', (one) => bytes(one.bytes)],
    ['Version', '', (one) => one.version ?? '–'],
  ];
  const problems = models.filter((one) => one.problem);
  const live = models.find((one) => one.role === 'live') ?? models[0];
  return [
    table('Model files', columns, models),
    problems.map((one) => h('p', { class: 'problem-line' }, `${one.file}: ${one.problem}`)),
    h(
      'details',
      { class: 'section' },
      h('summary', {}, 'What the live model looks at, and what it remembers'),
      tree({ members: live.members, features: live.features, remembered: live.remembered }),
    ),
  ];
}

function steps(now) {
  const order = ['warming', 'calibrating', 'active'];
  const texts = {
    warming: 'learns what is normal here',
    calibrating: 'measures how far ordinary traffic deviates',
    active: 'judges every window, and goes on learning from ordinary ones',
  };
  return h(
    'ol',
    { class: 'steps' },
    order.map((name) =>
      h(
        'li',
        {
          class: name === now ? 'now' : order.indexOf(name) < order.indexOf(now) ? 'past' : '',
          'aria-current': name === now ? 'step' : null,
        },
        h('b', {}, name),
        ` ${texts[name]}`,
      ),
    ),
  );
}
