// What worked before: incidents, found by words, and what was decided for others who asked.

import { encoded, h } from '../dom.js';
import { path, post, query, remove } from '../api.js';
import { button } from '../actions.js';
import { count, percent, when } from '../format.js';
import { failure, form, notice } from '../notices.js';
import { alertLink, empty, facts, incidentLink, panel, problemBox, prose, resource, table } from '../parts.js';
import { SEVERITIES, TYPES, severity } from '../severity.js';
import { mayAdminister } from '../state.js';

const SEARCH_AFTER = 300;
const DECISIONS_EVERY = 10_000;

export function incidents({ id, search, update }) {
  const list = resource(update);
  const own = resource(update);
  const decisions = resource(update);
  let words = search.get('q') ?? '';
  let found = null;
  let problem = null;
  let typing = 0;
  let chosen = null;
  let turn = 0;

  const load = () => list.load(query('api/v1/incidents', { limit: 100 }));

  async function look() {
    const mine = ++turn;
    problem = null;
    if (!words) {
      found = null;
      update();
      return;
    }
    try {
      const answer = await post('api/v1/incidents/search', { words });
      // Either incidents, or incidents with how alike they are.
      if (mine === turn)
        found = (answer.items ?? []).map((item) => (item.incident ? item : { incident: item, similarity: null }));
    } catch (error) {
      if (mine === turn) problem = error;
    }
    update();
  }

  function moved(next) {
    chosen = next;
    if (next) own.load(path('incidents', next));
    return true;
  }

  function type(event) {
    clearTimeout(typing);
    words = event.target.value.trim();
    typing = setTimeout(look, SEARCH_AFTER);
  }

  function add() {
    form({
      title: 'Add an incident',
      intro: 'Something that happened, and what helped. Alerts like it will recommend this.',
      action: 'Add',
      fields: [
        { name: 'title', label: 'Title', required: true },
        { name: 'threat_type', label: 'Type', kind: 'select', options: TYPES },
        { name: 'severity', label: 'Severity', kind: 'select', options: SEVERITIES, value: 'medium' },
        { name: 'symptom', label: 'What was seen', kind: 'area', required: true },
        { name: 'root_cause', label: 'Root cause', kind: 'area' },
        { name: 'action', label: 'What helped', kind: 'area', required: true },
        { name: 'outcome', label: 'What came of it', kind: 'text' },
        { name: 'port', label: 'Port of the service', kind: 'text', hint: 'Empty for any' },
      ],
      submit: async (values) => {
        const made = await post('api/v1/incidents', { ...values, port: values.port ? Number(values.port) : null });
        notice(`Added ${made?.id ?? 'the incident'}`, 'ok');
        load();
        if (made?.id) location.hash = `#/incidents/${encoded(made.id)}`;
      },
    });
  }

  async function drop(incident) {
    form({
      title: `Remove ${incident.id}?`,
      intro: 'It is no longer recommended. This cannot be undone.',
      action: 'Remove',
      danger: true,
      fields: [],
      submit: async () => {
        await remove(path('incidents', incident.id)).catch((error) => {
          failure(error);
          throw error;
        });
        notice(`Removed ${incident.id}`, 'ok');
        load();
        location.hash = '#/incidents';
      },
    });
  }

  const row = ({ incident, similarity }) =>
    h(
      'li',
      { key: incident.id, class: incident.severity ?? '' },
      h(
        'a',
        {
          class: `incident-row ${incident.severity ?? ''}`,
          href: `#/incidents/${encoded(incident.id)}`,
          'data-row': '',
          'aria-current': chosen === incident.id ? 'true' : null,
        },
        h('span', { class: 'mono quiet' }, incident.id),
        h('b', {}, incident.title || incident.symptom),
        similarity !== null && similarity !== undefined
          ? h('span', { class: 'quiet number' }, `${percent(similarity)} alike`)
          : null,
        h('span', { class: 'quiet' }, incident.threat_type),
        h('span', { class: 'incident-action' }, incident.action),
      ),
    );

  function results() {
    if (problem) return problemBox(problem, look);
    if (words && found)
      return found.length
        ? h('ul', { class: 'alert-list' }, found.map(row))
        : empty('No incident is like that', 'Try other words, or add what you know.');
    return list.show(
      (data) =>
        data.items.length
          ? h(
              'ul',
              { class: 'alert-list' },
              data.items.map((incident) => row({ incident, similarity: null })),
            )
          : empty(
              'No incidents yet',
              'Resolve an alert and say what helped, or add what you remember: the next alert like it will say so.',
            ),
      6,
    );
  }

  function detail(incident) {
    return [
      h(
        'section',
        { class: 'panel alert-head', key: 'incident' },
        h(
          'div',
          { class: 'alert-line' },
          incident.severity ? severity(incident.severity) : null,
          h('span', { class: 'mono quiet' }, incident.id),
          h('span', { class: 'spring' }),
          when(incident.created_at),
        ),
        h('h2', {}, incident.title || incident.symptom),
        incident.threat_id ? h('p', { class: 'quiet' }, 'from ', alertLink(incident.threat_id)) : null,
        mayAdminister()
          ? h(
              'div',
              { class: 'actions' },
              button('Remove', () => drop(incident), { danger: true }),
            )
          : null,
      ),
      panel(
        'What helped',
        h('p', { class: 'advice-action' }, prose(incident.action) || 'not written down'),
        incident.outcome ? h('p', {}, incident.outcome) : null,
        facts([
          ['Recommended and worked', count(incident.worked ?? 0)],
          ['Did not work', count(incident.failed ?? 0)],
          ['Type', incident.threat_type],
          ['Port', incident.port],
          ['Origin', incident.origin],
        ]),
      ),
      panel('What was seen', h('p', {}, incident.symptom || 'not written down')),
      panel('Root cause', h('p', {}, incident.root_cause || 'not known')),
    ];
  }

  function decisionPanel() {
    return panel(
      'Decisions others asked for',
      decisions.show((data) =>
        data.items?.length
          ? table(
              'Decisions',
              [
                ['When', '', (one) => when(one.created_at)],
                ['Asked about', '', (one) => one.error_type],
                ['Like', '', (one) => (one.matched_incident ? incidentLink(one.matched_incident) : 'nothing')],
                ['Recommended', 'grow', (one) => one.recommended_action],
                ['Confidence', 'right number', (one) => percent(one.confidence_score)],
                ['Took', 'right number', (one) => `${Math.round(one.latency_ms)}\u00a0ms`],
              ],
              data.items,
              (one) => ({ key: one.id }),
            )
          : empty('Nobody asked yet', 'Other services ask at POST /api/v1/decisions/stream-anomaly.'),
      ),
    );
  }

  load();
  decisions.load('api/v1/decisions', DECISIONS_EVERY);
  if (words) look();
  moved(id);
  return {
    get title() {
      return chosen ?? 'Incidents';
    },
    moved,
    stop() {
      clearTimeout(typing);
      for (const one of [list, own, decisions]) one.stop();
    },
    view: () => [
      h(
        'div',
        { class: `split${chosen ? ' chosen' : ''}` },
        h(
          'section',
          { class: 'split-list', 'aria-label': 'List of incidents' },
          h(
            'div',
            { class: 'filters' },
            h('h1', { class: 'hidden' }, 'Incidents'),
            h('input', {
              type: 'search',
              class: 'grow',
              placeholder: 'What happened, in words  /',
              'aria-label': 'Search incidents',
              value: words,
              oninput: type,
            }),
            button('Add', add),
          ),
          h('div', { class: 'panel flush' }, results()),
          chosen ? null : decisionPanel(),
        ),
        chosen
          ? h(
              'section',
              { class: 'split-detail', 'aria-label': 'Incident' },
              h('a', { class: 'back', href: '#/incidents' }, '← All incidents'),
              own.show(detail, 6),
            )
          : null,
      ),
    ],
  };
}
