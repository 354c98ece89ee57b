// What is wrong: the list of alerts, and beside it the one that was chosen.

import { encoded, h } from '../dom.js';
import { get, query } from '../api.js';
import { ago, count, endpoint, when } from '../format.js';
import { failure } from '../notices.js';
import { choices, empty, resource } from '../parts.js';
import { SEVERITIES, TYPES, alertState, grouped, newestFirst, rank, severity, sourceOf } from '../severity.js';
import { onAlert, state } from '../state.js';
import { detail } from './alert.js';

const STATES = [
  ['open', 'Open'],
  ['acknowledged', 'Acknowledged'],
  ['resolved', 'Resolved'],
  ['', 'All'],
];
const SEARCH_AFTER = 300;
const PAGE = 100;
const allRows = () => [...document.querySelectorAll('.alert-list [data-row]')];

export function alerts({ id, search, update }) {
  const filter = {
    state: search.get('state') ?? 'open',
    severity: search.get('severity') ?? '',
    type: search.get('type') ?? '',
    q: search.get('q') ?? '',
    host: search.get('host') ?? '',
  };
  const list = resource(update);
  const open = new Set();
  let together = true;
  let chosen = null;
  let searching = false;
  let typing = 0;

  const load = () => list.load(query('api/v1/alerts', { ...filter, limit: PAGE }));
  const leaveLive = onAlert((alert) => {
    keepFocus();
    const items = list.data?.items;
    if (items) {
      const at = items.findIndex((one) => one.threat_id === alert.threat_id);
      if (at >= 0) items.splice(at, 1);
      if (matches(alert)) items.push(alert);
      items.sort(newestFirst);
    }
    chosen?.take(alert);
  });

  // A row that no longer fits goes: the focus stays at its place in the list.
  function keepFocus() {
    const at = allRows().indexOf(document.activeElement);
    if (at < 0) return;
    setTimeout(() => {
      const left = allRows();
      if (document.activeElement === document.body) left[Math.min(at, left.length - 1)]?.focus();
    }, 100);
  }

  // What the sensor would select; a search for words is its own affair.
  function matches(alert) {
    const fits = (wanted, value) => wanted === '' || wanted === value;
    return (
      fits(filter.state, alert.state) &&
      fits(filter.severity, alert.severity) &&
      fits(filter.type, alert.threat_type) &&
      (filter.host === '' || [alert.source_ip, alert.destination_ip].includes(filter.host)) &&
      (filter.q === '' || JSON.stringify(alert).toLowerCase().includes(filter.q.toLowerCase()))
    );
  }

  function moved(next) {
    if (next === (chosen?.id ?? null)) return true;
    chosen?.stop();
    chosen = next ? detail({ id: next, update }) : null;
    return true;
  }

  function set(name, value) {
    filter[name] = value;
    load();
    update();
  }

  function filters() {
    const chooser = (name, label, options) =>
      h(
        'label',
        { class: 'inline' },
        h('span', { class: 'hidden' }, label),
        h(
          'select',
          { onchange: (event) => set(name, event.target.value), value: filter[name] },
          h('option', { value: '' }, `Any ${label}`),
          options.map((option) => h('option', { value: option, selected: option === filter[name] }, option)),
        ),
      );
    return h(
      'div',
      { class: 'filters' },
      choices('State', STATES, filter.state, (value) => set('state', value)),
      chooser('severity', 'severity', SEVERITIES),
      chooser('type', 'type', TYPES),
      h('input', {
        type: 'search',
        placeholder: 'Search  /',
        'aria-label': 'Search alerts',
        value: filter.q,
        oninput: (event) => {
          clearTimeout(typing);
          const { value } = event.target;
          typing = setTimeout(() => set('q', value.trim()), SEARCH_AFTER);
        },
      }),
      filter.host
        ? h(
            'button',
            { type: 'button', class: 'chip', onclick: () => set('host', ''), title: 'Show all hosts' },
            `host ${filter.host} ×`,
          )
        : null,
      h(
        'label',
        { class: 'inline check' },
        h('input', {
          type: 'checkbox',
          checked: together,
          onchange: (event) => {
            together = event.target.checked;
            update();
          },
        }),
        'Group',
      ),
    );
  }

  function rows(data) {
    if (!data.items.length) return data.next ? [empty('None among the newest'), rest(data)] : nothing();
    const lines = together
      ? grouped(data.items).flatMap((group) =>
          group.alerts.length === 1
            ? [line(group.alerts[0])]
            : [groupLine(group), open.has(group.key) ? group.alerts.map((alert) => line(alert, true)) : []],
        )
      : data.items.map((alert) => line(alert));
    return [h('ul', { class: 'alert-list' }, lines.flat()), rest(data)];
  }

  function rest(data) {
    if (!data.next) return null;
    return h(
      'button',
      { type: 'button', class: 'wide-button', disabled: searching, onclick: () => older(data) },
      searching ? 'Looking…' : 'Older alerts',
    );
  }

  // A page may hold few or none: the sensor looks at so many alerts a request.
  async function older(data) {
    searching = true;
    update();
    try {
      const page = await get(query('api/v1/alerts', { ...filter, limit: PAGE, cursor: data.next }));
      if (list.data === data) {
        const known = new Set(data.items.map((alert) => alert.threat_id));
        data.items.push(...page.items.filter((alert) => !known.has(alert.threat_id)));
        data.next = page.next;
      }
    } catch (problem) {
      failure(problem);
    }
    searching = false;
    update();
  }

  function nothing() {
    if (filter.severity || filter.type || filter.q || filter.host)
      return empty('No alert is like that', 'Choose other filters or words.');
    if (filter.state !== 'open') return empty('Nothing here yet');
    const { model } = state.status ?? {};
    if (model && model.state !== 'active')
      return empty(
        'No alerts yet',
        `The model is ${model.state}: it raises none before it is active. The overview shows how far it is.`,
      );
    return empty('Nothing is wrong', 'No alert is open. New ones appear here as they are raised.');
  }

  const link = (alert) => `#/alerts/${encoded(alert.threat_id)}`;

  function line(alert, inside = false) {
    const target = endpoint(alert.destination_ip, alert.destination_port);
    return h(
      'li',
      { key: alert.threat_id, class: `${inside ? 'inside' : ''}` },
      h(
        'a',
        {
          class: `alert-row ${alert.severity}`,
          href: link(alert),
          'data-row': alert.threat_id,
          'aria-current': chosen?.id === alert.threat_id ? 'true' : null,
        },
        severity(alert.severity),
        h('span', { class: 'alert-type' }, alert.threat_type),
        h(
          'span',
          { class: 'alert-who mono' },
          h('bdi', {}, sourceOf(alert)),
          h('span', { class: 'quiet', 'aria-label': 'to' }, ' → '),
          h('bdi', {}, target),
        ),
        h(
          'span',
          { class: 'alert-when quiet' },
          alert.state === 'open' ? null : alertState(alert),
          ' ',
          when(alert.details?.last_seen || alert.timestamp, ago),
        ),
        h('span', { class: 'alert-text' }, alert.details?.narrative || ''),
      ),
    );
  }

  function groupLine(group) {
    const shown = open.has(group.key);
    const toggle = () => {
      if (shown) open.delete(group.key);
      else open.add(group.key);
      update();
    };
    const targets = group.targets.size === 1 ? [...group.targets][0] : `${group.targets.size} targets`;
    return h(
      'li',
      { key: `group ${group.key}` },
      h(
        'button',
        {
          type: 'button',
          class: `alert-row group ${group.worst}`,
          'aria-expanded': String(shown),
          onclick: toggle,
          'data-row': '',
        },
        severity(group.worst),
        h(
          'span',
          { class: 'alert-type' },
          group.type,
          ' ',
          h('span', { class: 'times number' }, `×${count(group.alerts.length)}`),
        ),
        h(
          'span',
          { class: 'alert-who mono' },
          h('bdi', {}, group.from),
          h('span', { class: 'quiet' }, ' → '),
          h('bdi', {}, targets),
        ),
        h('span', { class: 'alert-when quiet' }, when(group.latest, ago)),
        h('span', { class: 'alert-text' }, group.alerts[0].details?.narrative || ''),
      ),
    );
  }

  load();
  moved(id);
  return {
    get title() {
      return chosen ? chosen.id : 'Alerts';
    },
    moved,
    selected: (row) => list.data?.items.find((alert) => alert.threat_id === row) ?? chosen?.alert() ?? null,
    stop() {
      leaveLive();
      clearTimeout(typing);
      list.stop();
      chosen?.stop();
    },
    view: () => [
      h('h1', { class: 'hidden' }, 'Alerts'),
      h(
        'div',
        { class: `split${chosen ? ' chosen' : ''}` },
        h(
          'section',
          { class: 'split-list', 'aria-label': 'List of alerts' },
          filters(),
          h('div', { class: 'panel flush' }, list.show(rows, 6)),
        ),
        h('section', { class: 'split-detail', 'aria-label': 'Alert' }, chosen ? chosen.view() : hint()),
      ),
    ],
  };

  function hint() {
    const worst = (list.data?.items ?? []).reduce((most_, alert) => Math.max(most_, rank(alert.severity)), 0);
    return worst
      ? h('div', { class: 'panel' }, empty('Choose an alert', 'j and k move, Enter opens, a acknowledges, r resolves.'))
      : null;
  }
}
