// The console: which page is shown, and the frame around it.

import { encoded, h, render } from './dom.js';
import { onSignedOut } from './api.js';
import { drawFrame } from './frame.js';
import { listenToKeys } from './keyboard.js';
import { notice } from './notices.js';
import { signIn } from './signin.js';
import { changed, onAlert, onChange, start, state } from './state.js';
import { sourceOf } from './severity.js';
import { applyTheme } from './theme.js';
import { acknowledge, resolve } from './actions.js';
import { overview } from './pages/overview.js';
import { alerts } from './pages/alerts.js';
import { hosts } from './pages/hosts.js';
import { host } from './pages/host.js';
import { flows } from './pages/flows.js';
import { incidents } from './pages/incidents.js';
import { captures } from './pages/captures.js';
import { model } from './pages/model.js';
import { settings } from './pages/settings.js';
import { empty, problemBox } from './parts.js';

// First part of the address after `#/`, whether a second one is wanted, section of the navigation, page.
const ROUTES = [
  ['', false, 'Overview', overview],
  ['alerts', null, 'Alerts', alerts],
  ['hosts', false, 'Hosts', hosts],
  ['hosts', true, 'Hosts', host],
  ['flows', false, 'Flows', flows],
  ['incidents', null, 'Incidents', incidents],
  ['captures', null, 'Captures', captures],
  ['model', false, 'Model', model],
  ['settings', false, 'Settings', settings],
];

const main = document.getElementById('main');
let current = { title: '', section: '', view: () => null };
let stopLive = null;

function parse() {
  const [address, search = ''] = location.hash.replace(/^#\/?/, '').split('?');
  const parts = address.split('/').map((part) => {
    try {
      return decodeURIComponent(part);
    } catch {
      return part;
    }
  });
  return { name: parts[0], id: parts.slice(1).join('/') || null, search: new URLSearchParams(search) };
}

function go(first = false) {
  const { name, id, search } = parse();
  const route = ROUTES.find(([known, wantsId]) => known === name && (wantsId === null || wantsId === (id !== null)));
  const section = route?.[2] ?? '';
  // A page that can show another of its things without being left does so: its list stays as it is.
  if (current.section === section && current.moved?.(id, search)) return redraw();
  current.stop?.();
  current = route
    ? { section, ...route[3]({ id, search, update: changed }) }
    : { title: 'Not found', section: '', view: notFound };
  redraw();
  scrollTo(0, 0);
  if (!first) main.focus({ preventScroll: true });
}

function notFound() {
  return empty('There is no such page', h('a', { href: '#/' }, 'Go to the overview'));
}

function redraw() {
  if (state.signedOut) return;
  drawFrame(current);
  try {
    render(main, current.view());
  } catch (error) {
    // A fault of this page is no reason to lose the others.
    console.error(error);
    render(
      main,
      problemBox({
        title: 'This page could not be drawn',
        message: error.message,
        remedy: 'go to another page, and please report it',
      }),
    );
  }
}

function command(name) {
  const alert = current.selected?.(document.activeElement.closest?.('[data-row]')?.dataset.row ?? null);
  if (!alert) return;
  if (name === 'acknowledge') acknowledge(alert);
  else resolve(alert);
}

function begin() {
  stopLive = start();
  go(true);
}

onSignedOut(() => {
  if (state.signedOut) return;
  state.signedOut = true;
  stopLive?.();
  current.stop?.();
  current = { title: 'Sign in', section: '', view: () => null };
  drawFrame(current);
  signIn(main, begin);
});

onAlert((alert, isNew) => {
  if (!isNew) return;
  notice(
    `${alert.severity} · ${alert.threat_type} from ${sourceOf(alert)}`,
    alert.severity,
    `#/alerts/${encoded(alert.threat_id)}`,
  );
});

applyTheme();
listenToKeys(command);
onChange(redraw);
document.querySelector('.skip').addEventListener('click', (event) => {
  event.preventDefault();
  main.focus();
});
addEventListener('hashchange', () => go());
// Ages such as "12 s ago" go on while nothing else changes.
setInterval(changed, 1000);
begin();
