// What pages are made of: panels, tables, meters, and what is shown while there is nothing to show.

import { encoded, h } from './dom.js';
import { get } from './api.js';

export function panel(title, ...content) {
  const [head, props] = Array.isArray(title) ? [title, {}] : [[title], {}];
  const id = `panel-${String(head[0])
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')}`;
  return h(
    'section',
    { class: 'panel', 'aria-labelledby': id, key: id, ...props },
    h('header', { class: 'panel-head' }, h('h2', { id }, head[0]), ...head.slice(1)),
    h('div', { class: 'panel-body' }, ...content),
  );
}

export function empty(title, ...text) {
  return h(
    'div',
    { class: 'empty' },
    h('p', { class: 'empty-title' }, title),
    text.length ? h('p', {}, ...text) : null,
  );
}

export function loading(lines = 3) {
  return h(
    'div',
    { class: 'loading', role: 'status', 'aria-label': 'loading' },
    Array.from({ length: lines }, () => h('div', { class: 'bone' })),
  );
}

export function problemBox(problem, retry) {
  return h(
    'div',
    { class: 'problem', role: 'alert' },
    h('p', { class: 'problem-title' }, problem.title || 'That did not work'),
    h('p', {}, problem.message),
    problem.remedy ? h('p', { class: 'remedy' }, h('b', {}, 'What helps: '), problem.remedy) : null,
    retry ? h('button', { type: 'button', onclick: retry }, 'Try again') : null,
  );
}

// `columns`: [heading, class, cell(item)]; the first one is the row's heading.
export function table(label, columns, items, row = () => ({})) {
  return h(
    'div',
    { class: 'table-frame', tabindex: '0', role: 'region', 'aria-label': label },
    h(
      'table',
      {},
      h(
        'thead',
        {},
        h(
          'tr',
          {},
          columns.map(([heading, kind]) => h('th', { scope: 'col', class: kind }, heading)),
        ),
      ),
      h(
        'tbody',
        {},
        items.map((item) =>
          h(
            'tr',
            row(item),
            columns.map(([heading, kind, cell]) =>
              h('td', { class: kind, 'data-label': typeof heading === 'string' ? heading : null }, cell(item)),
            ),
          ),
        ),
      ),
    ),
  );
}

export function sortHeading(text, active, onclick) {
  return h(
    'button',
    { type: 'button', class: `sort${active ? ' on' : ''}`, onclick, 'aria-pressed': String(active) },
    text,
    h('span', { 'aria-hidden': 'true' }, ' ↓'),
  );
}

export function facts(pairs) {
  return h(
    'dl',
    { class: 'facts' },
    pairs
      .filter(([, value]) => value !== null && value !== undefined && value !== '')
      .map(([name, value]) => h('div', { class: 'fact' }, h('dt', {}, name), h('dd', {}, value))),
  );
}

export function meter(value, label, kind = '') {
  const part = Math.min(1, Math.max(0, Number(value) || 0));
  return h(
    'div',
    {
      class: `meter ${kind}`,
      role: 'progressbar',
      'aria-label': label,
      'aria-valuemin': '0',
      'aria-valuemax': '100',
      'aria-valuenow': String(Math.round(part * 100)),
    },
    h('div', { class: 'meter-fill', part }),
  );
}

export function choices(label, options, current, pick) {
  return h(
    'div',
    { class: 'choices', role: 'group', 'aria-label': label },
    options.map(([value, text]) =>
      h(
        'button',
        {
          type: 'button',
          class: value === current ? 'on' : '',
          'aria-pressed': String(value === current),
          onclick: () => pick(value),
        },
        text,
      ),
    ),
  );
}

// Any JSON, as a list: for what has no page of its own yet.
export function tree(value, depth = 0) {
  if (value === null || typeof value !== 'object')
    return h('code', { class: 'value' }, value === '' ? '""' : String(value));
  const entries = Array.isArray(value) ? value.map((item, at) => [String(at + 1), item]) : Object.entries(value);
  if (!entries.length) return h('span', { class: 'quiet' }, 'none');
  if (Array.isArray(value) && value.every((item) => item === null || typeof item !== 'object')) {
    return h('code', { class: 'value' }, value.join(', '));
  }
  if (depth > 6) return h('code', { class: 'value' }, JSON.stringify(value).slice(0, 200));
  return h(
    'dl',
    { class: 'tree' },
    entries.map(([name, item]) =>
      h(
        'div',
        { class: item !== null && typeof item === 'object' && !Array.isArray(item) ? 'branch' : 'leaf' },
        h('dt', {}, name),
        h('dd', {}, tree(item, depth + 1)),
      ),
    ),
  );
}

export const hostLink = (address) =>
  address
    ? h('a', { class: 'address', href: `#/hosts/${encoded(address)}` }, h('bdi', {}, address))
    : h('span', { class: 'quiet' }, 'many hosts');
export const alertLink = (id, ...text) => h('a', { href: `#/alerts/${encoded(id)}` }, ...(text.length ? text : [id]));
export const incidentLink = (id) => h('a', { class: 'mono', href: `#/incidents/${encoded(id)}` }, id);

// What people and the starter incidents write: commands stand between backticks. In these, SOURCE and DEST become the
// addresses of the alert, if they are addresses.
export function prose(text, alert = {}) {
  const parts = String(text ?? '').split('`');
  if (parts.length % 2 === 0) return text;
  const names = { SOURCE: alert.source_ip, DEST: alert.destination_ip };
  const filled = (command) =>
    command.replace(/\b(SOURCE|DEST)\b/g, (name) => (/^[0-9a-fA-F.:]+$/.test(names[name] ?? '') ? names[name] : name));
  return parts.map((part, at) => (at % 2 ? h('code', {}, filled(part)) : part));
}

// Something that is asked for, again and again if wanted, and shown as far as it came.
export function resource(update) {
  const alive = new AbortController();
  const self = { data: null, problem: null, loaded: false, url: '', load, show, stop };
  let timer = 0;
  let turn = 0;

  async function load(url, every = 0) {
    const mine = ++turn;
    if (url !== self.url) {
      self.url = url;
      self.loaded = false;
    }
    clearTimeout(timer);
    try {
      const data = await get(url, alive.signal);
      if (mine !== turn || alive.signal.aborted) return;
      Object.assign(self, { data, problem: null, loaded: true });
    } catch (problem) {
      if (mine !== turn || alive.signal.aborted) return;
      self.problem = problem;
    }
    update();
    // Whoever was told may have asked for something else.
    if (every && mine === turn && !alive.signal.aborted) again(url, every);
  }

  // A hidden page asks for nothing; it looks again whether it is shown.
  function again(url, every) {
    timer = setTimeout(() => (document.hidden ? again(url, every) : load(url, every)), every);
  }

  function show(view, bones = 3) {
    if (self.problem && (!self.loaded || self.problem.status === 404))
      return problemBox(self.problem, () => load(self.url));
    if (!self.data) return loading(bones);
    if (!self.problem) return view(self.data);
    return [h('p', { class: 'stale', role: 'status' }, `not refreshed: ${self.problem.message}`), view(self.data)];
  }

  function stop() {
    clearTimeout(timer);
    alive.abort();
  }

  return self;
}
