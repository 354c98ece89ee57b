// Keys of the whole console. None works while somebody types, or over a dialog.

import { h, render } from './dom.js';

export const PLACES = [
  ['o', '#/', 'Overview'],
  ['a', '#/alerts', 'Alerts'],
  ['h', '#/hosts', 'Hosts'],
  ['f', '#/flows', 'Flows'],
  ['i', '#/incidents', 'Incidents'],
  ['c', '#/captures', 'Captures'],
  ['m', '#/model', 'Model'],
  ['s', '#/settings', 'Settings'],
];
const GO_WITHIN = 1500;

// `command(name)` runs what the current page offers: acknowledge, resolve.
export function listenToKeys(command) {
  let went = 0;
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return;
    const typing = event.target.closest?.('input, textarea, select');
    if (typing) {
      if (event.key === 'Escape') typing.blur();
      return;
    }
    const place = Date.now() - went < GO_WITHIN && PLACES.find(([key]) => key === event.key);
    went = 0;
    if (place) location.hash = place[1];
    else if (event.key === 'g') went = Date.now();
    else if (event.key === 'j') step(1);
    else if (event.key === 'k') step(-1);
    else if (event.key === 'a') command('acknowledge');
    else if (event.key === 'r') command('resolve');
    else if (event.key === '?') help();
    else if (event.key === '/') search();
    else return;
    event.preventDefault();
  });
}

// Rows that j and k visit carry data-row; the focus is the selection.
function step(by) {
  const rows = [...document.querySelectorAll('[data-row]')].filter((row) => row.offsetParent !== null);
  if (!rows.length) return;
  const at = rows.indexOf(document.activeElement.closest?.('[data-row]'));
  const next = at < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + by));
  rows[next].focus();
  rows[next].scrollIntoView({ block: 'nearest' });
}

function search() {
  const field = document.querySelector('main [type="search"]');
  if (field) field.focus();
  else location.hash = '#/alerts';
}

export function help() {
  const dialog = h('dialog', { class: 'dialog help', 'aria-labelledby': 'help-title' });
  const keys = [
    ['j  k', 'next, previous row'],
    ['Enter', 'open the row'],
    ['a', 'acknowledge the alert'],
    ['r', 'resolve the alert'],
    ['/', 'search'],
    ['Esc', 'leave a field, close a dialog, undo the zoom of a chart'],
    ['?', 'this help'],
    ...PLACES.map(([key, , name]) => [`g ${key}`, `go to ${name}`]),
  ];
  render(
    dialog,
    h('h2', { id: 'help-title' }, 'Keyboard'),
    h(
      'dl',
      { class: 'keys' },
      keys.map(([key, text]) =>
        h(
          'div',
          {},
          h(
            'dt',
            {},
            key
              .split(' ')
              .filter(Boolean)
              .map((part) => h('kbd', {}, part)),
          ),
          h('dd', {}, text),
        ),
      ),
    ),
    h(
      'p',
      { class: 'quiet' },
      'Charts: point to read values, drag to zoom, double click to leave the zoom; the arrow keys do the same for a focused chart.',
    ),
    h(
      'div',
      { class: 'dialog-actions' },
      h('button', { type: 'button', class: 'primary', onclick: () => dialog.close() }, 'Close'),
    ),
  );
  dialog.addEventListener('close', () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
