// What stands around every page: the strip on top, the navigation, the line that says that something is off.

import { h, render } from './dom.js';
import { bytesPerSecond, clock, duration, percent, perSecond } from './format.js';
import { PLACES, help } from './keyboard.js';
import { SEVERITIES, shape } from './severity.js';
import { openBySeverity, state } from './state.js';
import { nextTheme, theme } from './theme.js';
import { remove } from './api.js';

// The status is written each second; one older than this is not "now".
const STALE = 6000;

const ICONS = {
  Overview: 'M2 8.5 8 3l6 5.5M4 7.5V13h8V7.5',
  Alerts: 'M8 2 14.5 13.5h-13ZM8 6.5v3.5M8 11.8v.1',
  Hosts: 'M2.5 3h11v4h-11ZM2.5 9h11v4h-11ZM5 5h.1M5 11h.1',
  Flows: 'M2 5h10M9.5 2.5 12 5 9.5 7.5M14 11H4M6.5 8.5 4 11l2.5 2.5',
  Incidents: 'M3.5 2h9v12h-9ZM6 5.5h4M6 8h4M6 10.5h2.5',
  Captures: 'M2.5 9.5v4h11v-4M8 2v7.5M5 6.5l3 3 3-3',
  Model: 'M2 12c2.5 0 2.5-8 6-8s3.5 8 6 8M2 14h12',
  Settings: 'M3 4.5h6M12 4.5h1M3 11.5h1M7 11.5h6M10.5 3v3M5.5 10v3',
  More: 'M3 8h.1M8 8h.1M13 8h.1',
};

export const icon = (name) =>
  h('svg', { class: 'icon', viewBox: '0 0 16 16', 'aria-hidden': 'true' }, h('path', { d: ICONS[name] }));

export const stale = () => state.statusProblem !== null && Date.now() - state.statusAt > STALE;

export function drawFrame(current) {
  render(document.getElementById('top'), strip());
  render(document.getElementById('nav'), navigation(current));
  render(document.getElementById('banner'), banner());
  const open = state.status?.alerts?.open ?? 0;
  const title = `${open ? `(${open}) ` : ''}${current.title ? `${current.title} · ` : ''}Vesper`;
  if (document.title !== title) document.title = title;
}

function strip() {
  const { status } = state;
  return [
    h('a', { class: 'brand', href: '#/', 'aria-label': 'Vesper, overview' }, logo(), h('span', {}, 'Vesper')),
    status
      ? [health(status), rates(status), model(status), openAlerts()]
      : h(
          'span',
          { class: 'quiet strip-item' },
          state.signedOut ? 'signed out' : state.statusProblem ? 'no status' : 'connecting…',
        ),
    h('span', { class: 'spring' }),
    connection(),
    session(),
    h(
      'button',
      {
        type: 'button',
        class: 'plain tool',
        onclick: nextTheme,
        title: `Colours: ${theme()}`,
        'aria-label': `Colours: ${theme()}, change`,
      },
      themeIcon(),
    ),
    h(
      'button',
      {
        type: 'button',
        class: 'plain tool keys-button',
        onclick: help,
        title: 'Keyboard (?)',
        'aria-label': 'Keyboard help',
      },
      '?',
    ),
  ];
}

function logo() {
  return h(
    'svg',
    { class: 'logo', viewBox: '0 0 24 24', 'aria-hidden': 'true' },
    h('path', { d: 'M2 19c4.5-4 15.5-4 20 0', class: 'horizon' }),
    h('path', {
      d: 'M12 2c.8 5 2.2 6.4 7 7.2-4.8.8-6.2 2.2-7 7.2-.8-5-2.2-6.4-7-7.2C9.8 8.4 11.2 7 12 2Z',
      class: 'star',
    }),
  );
}

function themeIcon() {
  return h(
    'svg',
    { class: 'icon', viewBox: '0 0 16 16', 'aria-hidden': 'true' },
    h('path', { d: 'M8 2a6 6 0 1 0 .01 0Z' }),
    h('path', { class: 'filled', d: 'M8 2a6 6 0 0 1 0 12Z' }),
  );
}

function health(status) {
  const kind = stale() ? 'failed' : status.health.status;
  const words = { ok: 'healthy', degraded: 'degraded', failed: stale() ? 'no contact' : 'failed' };
  return h(
    'a',
    {
      class: `strip-item health ${kind}`,
      href: '#/',
      title: 'Health of the sensor',
      'aria-label': `Health: ${words[kind] ?? kind}`,
    },
    shape(kind),
    h('span', { class: 'word' }, words[kind] ?? kind),
  );
}

function rates(status) {
  return [
    h(
      'span',
      { class: 'strip-item', title: `Packets a second on ${status.interface || 'the interface'}` },
      h('span', { class: 'strip-label' }, 'packets'),
      h('b', { class: 'number wide' }, perSecond(status.rates.packets)),
    ),
    h(
      'span',
      { class: 'strip-item second', title: 'Bytes a second' },
      h('span', { class: 'strip-label' }, 'bytes'),
      h('b', { class: 'number wide' }, bytesPerSecond(status.rates.bytes)),
    ),
  ];
}

function model(status) {
  const { model: now } = status;
  const part = now.state === 'active' ? '' : ` ${percent(now.progress)}`;
  return h(
    'a',
    { class: 'strip-item second', href: '#/model', title: 'State of the model' },
    h('span', { class: 'strip-label' }, 'model'),
    h('b', { class: now.state === 'active' ? '' : 'warn' }, `${now.state}${part}`),
  );
}

function openAlerts() {
  const by = openBySeverity();
  const present = SEVERITIES.filter((name) => by[name] > 0);
  return h(
    'a',
    {
      class: 'strip-item alerts-count',
      href: '#/alerts',
      'aria-label': present.length
        ? `Open alerts: ${present.map((name) => `${by[name]} ${name}`).join(', ')}`
        : 'No open alerts',
    },
    present.length
      ? present.map((name) =>
          h(
            'span',
            { class: `pip ${name}`, title: `${by[name]} ${name}` },
            shape(name),
            h('span', { class: 'number' }, by[name]),
          ),
        )
      : h('span', { class: 'quiet' }, 'no open alerts'),
  );
}

function connection() {
  if (state.signedOut) return null;
  const { state: now, since } = state.connection;
  const words = { live: 'live', connecting: 'connecting', reconnecting: 'reconnecting' };
  const title =
    now === 'live'
      ? `Alerts come as they are raised, connected since ${clock(since)}`
      : `Alerts are not live since ${clock(since)}; this page connects again by itself`;
  return h(
    'span',
    { class: `strip-item connection ${now}`, role: 'status', title },
    h('span', { class: 'dot', 'aria-hidden': 'true' }),
    words[now],
  );
}

function session() {
  if (!state.session?.name) return null;
  const leave = () => remove('api/v1/session').finally(() => location.reload());
  return h(
    'span',
    { class: 'strip-item second session' },
    h('span', { title: `scope: ${state.session.scope}` }, state.session.name),
    state.session.name !== 'local' ? h('button', { type: 'button', class: 'plain', onclick: leave }, 'Sign out') : null,
  );
}

let more = false;

function navigation(current) {
  const open = state.status?.alerts?.open ?? 0;
  const link = ([key, href, name]) =>
    h(
      'li',
      { key: name },
      h(
        'a',
        {
          href,
          'aria-current': current.section === name ? 'page' : null,
          title: `g ${key}`,
          onclick: () => {
            more = false;
          },
        },
        icon(name),
        h('span', {}, name),
        name === 'Alerts' && open
          ? h('span', { class: 'badge number', 'aria-label': `${open} open` }, open > 999 ? '999+' : open)
          : null,
      ),
    );
  const toggle = () => {
    more = !more;
    drawFrame(current);
  };
  return [
    h(
      'ul',
      { class: more ? 'more' : '' },
      PLACES.map(link),
      h('li', { class: 'outside', key: 'docs' }, h('a', { href: 'docs' }, h('span', {}, 'API reference'))),
      h('li', { class: 'outside', key: 'metrics' }, h('a', { href: 'metrics' }, h('span', {}, 'Metrics'))),
    ),
    h(
      'button',
      { type: 'button', class: 'plain nav-more', 'aria-expanded': String(more), onclick: toggle },
      icon('More'),
      h('span', {}, 'More'),
    ),
    state.status
      ? h(
          'p',
          { class: 'version quiet' },
          `${state.status.interface || 'no interface'} · ${state.status.mode ?? ''}`,
          h('br'),
          `version ${state.status.version}`,
          h('br'),
          `up ${duration(state.status.uptime_s)}`,
        )
      : null,
  ];
}

function banner() {
  if (stale()) {
    return h(
      'div',
      { class: 'banner failed', role: 'alert' },
      shape('failed'),
      h(
        'span',
        {},
        h('b', {}, `${state.statusProblem.title || 'No contact'}. `),
        state.statusAt ? `What you see is from ${clock(state.statusAt)}. ` : '',
        `${state.statusProblem.message}. ${state.statusProblem.remedy ? `What helps: ${state.statusProblem.remedy}` : ''}`,
      ),
    );
  }
  const bad = (state.status?.health?.components ?? []).filter((part) => part.state === 'failed');
  return bad.map((part) =>
    h(
      'div',
      { class: 'banner failed', role: 'alert', key: part.name },
      shape('failed'),
      h('span', {}, h('b', {}, `${part.name}: `), part.reason),
    ),
  );
}
