// The model: how far it is, how the scores run, what it was before.

import { h } from '../dom.js';
import { Board, Chart } from '../chart.js';
import { post, query } from '../api.js';
import { button } from '../actions.js';
import { count, figure, percent, when } from '../format.js';
import { form, notice } from '../notices.js';
import { choices, empty, facts, meter, panel, problemBox, resource, table, tree } from '../parts.js';
import { mayAdminister, state } from '../state.js';

const RANGES = [[60, '1 h'], [360, '6 h'], [1440, '24 h']];
const KNOWN = ['state', 'progress', 'name', 'generation', 'threshold', 'budget_per_hour', 'snapshots', 'shadow', 'drift', 'time'];

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
    const points = history.data.points.map((point) => ({ time: Date.parse(point.time), value: point.max_score ?? null }));
    const end = Math.max(points.at(-1)?.time ?? 0, Date.now() - 3000);
    board.range = [end - minutes * 60_000, end];
    scores.mark = state.status?.model.threshold || null;
    scores.update(points, history.data.step_s);
  }

  function ask(title, intro, action, url, body, done) {
    form({
      title, intro, action, fields: [], danger: true,
      submit: async () => {
        await post(url, body);
        notice(done, 'ok');
        load();
      },
    });
  }

  function actions(data) {
    if (!mayAdminister()) return h('p', { class: 'quiet' }, 'Promoting and rolling back need a token of scope admin.');
    return h('div', { class: 'actions' },
      data.shadow ? button('Promote the shadow', () => ask('Promote the shadow model?', 'It judges from now on; the present one is kept as a snapshot.', 'Promote', 'api/v1/model/promote', {}, 'Promoted')) : null,
      button('Roll back', () => ask('Roll back to the latest snapshot?', 'What was learned since is no longer used.', 'Roll back', 'api/v1/model/rollback', { snapshot: null }, 'Rolled back')));
  }

  function snapshots(data) {
    const items = data.snapshots ?? data.generations ?? [];
    if (!items.length) return empty('No snapshot yet', 'One is kept each time the model is saved.');
    const nameOf = (one) => (typeof one === 'object' ? one.name ?? one.id ?? one.generation ?? one.file : one);
    return table('Snapshots', [
      ['Snapshot', 'mono', (one) => String(nameOf(one))],
      ['Made', '', (one) => when(one.created_at ?? one.time ?? one.saved_at)],
      ['About', 'grow', (one) => (typeof one === 'object' ? Object.entries(one).filter(([name, value]) => !['name', 'id', 'created_at', 'time', 'saved_at'].includes(name) && typeof value !== 'object').map(([name, value]) => `${name.replaceAll('_', ' ')} ${value}`).join(' · ') : '')],
      ['', 'right', (one) => (mayAdminister() ? button('Roll back to it', () => ask(`Roll back to ${nameOf(one)}?`, 'What was learned since is no longer used.', 'Roll back', 'api/v1/model/rollback', { snapshot: nameOf(one) }, 'Rolled back')) : null)],
    ], items);
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
      return [
        h('div', { class: 'page-head' }, h('h1', {}, 'Model')),
        now ? panel('Ready', h('div', { class: 'bar-line' }, h('b', {}, now.state), h('span', { class: 'number' }, now.state === 'active' ? 'raises alerts' : percent(now.progress))),
          meter(now.state === 'active' ? 1 : now.progress, 'Progress of the model', now.state === 'active' ? 'done' : ''),
          steps(now.state), facts([['Name', now.name], ['Threshold', figure(now.threshold)], ['Budget', `${figure(now.budget_per_hour)} false alarms an hour`], ['Scored so far', `${count(state.status.totals.windows)} windows`]])) : null,
        panel(['Scores', h('span', { class: 'quiet' }, now?.threshold ? `dashed: threshold ${figure(now.threshold)}` : null), h('span', { class: 'spring' }),
          choices('Time range', RANGES, minutes, (value) => { minutes = value; board.zoom = null; loadHistory(); update(); }), board.zoom ? h('button', { type: 'button', onclick: () => board.zoomTo(null) }, 'Leave zoom') : null],
        history.problem && !history.data ? problemBox(history.problem, loadHistory) : null, h('div', { class: 'charts one' }, scores.slot())),
        own.show((data) => [
          panel('Snapshots', actions(data), snapshots(data)),
          data.drift ? panel('Drift', tree(data.drift)) : null,
          data.shadow ? panel('Shadow', tree(data.shadow)) : null,
          h('details', { class: 'panel more-details' }, h('summary', {}, 'Everything it says of itself'), tree(Object.fromEntries(Object.entries(data).filter(([name]) => !KNOWN.includes(name))))),
        ], 5),
      ];
    },
  };
}

function steps(now) {
  const order = ['warming', 'calibrating', 'active'];
  const texts = { warming: 'learns what is normal here', calibrating: 'measures how far ordinary traffic deviates', active: 'judges every window, and goes on learning from ordinary ones' };
  return h('ol', { class: 'steps' }, order.map((name) => h('li', { class: name === now ? 'now' : order.indexOf(name) < order.indexOf(now) ? 'past' : '', 'aria-current': name === now ? 'step' : null }, h('b', {}, name), ` ${texts[name]}`)));
}
