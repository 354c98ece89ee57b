// Dark, light, or as the system says.

import { changed } from './state.js';

const ORDER = ['system', 'dark', 'light'];
const KEY = 'vesper-theme';

export function theme() {
  try {
    const stored = localStorage.getItem(KEY);
    return ORDER.includes(stored) ? stored : 'system';
  } catch {
    return 'system';
  }
}

export function applyTheme(wanted = theme()) {
  if (wanted === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = wanted;
}

export function nextTheme() {
  const wanted = ORDER[(ORDER.indexOf(theme()) + 1) % ORDER.length];
  try {
    localStorage.setItem(KEY, wanted);
  } catch {
    // Storage is forbidden: then it lasts until the page is left.
  }
  applyTheme(wanted);
  changed();
}
