// Elements from code, and the only way into the page: strings become text nodes, never markup.
// `h` describes a tree; `render` changes the shown one into it and keeps what did not change, so that
// focus, selection and scrolling survive a refresh each second.

const SVG = 'http://www.w3.org/2000/svg';
const SVG_TAGS = new Set(['svg', 'path', 'rect', 'circle', 'line', 'g', 'polygon', 'polyline', 'text', 'title']);
// Where links may lead: pages of this console and paths of this sensor. Nothing else ever becomes a link.
const OWN_LINK = /^(#\/?[^\s]*|api\/v1\/[A-Za-z0-9_\-./%?=&!'()*~]*|docs|metrics|openapi\.json)$/;
const MOST_TEXT = 4000;

// Control characters and those that turn the direction of text around would let a packet draw outside its place.
const HOSTILE =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/g;

export function clean(value) {
  const text = String(value ?? '').slice(0, MOST_TEXT);
  return text.replace(HOSTILE, '·');
}

// As a part of an address; text that is no text (half of a pair) would be an error.
export const encoded = (text) => encodeURIComponent(String(text).toWellFormed());

export function h(tag, props, ...children) {
  const svg = SVG_TAGS.has(tag);
  const node = svg ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) setProp(node, name, value);
  append(node, children);
  return node;
}

function append(node, children) {
  for (const child of children) {
    if (Array.isArray(child)) append(node, child);
    else if (child instanceof Node) node.append(child);
    else if (child !== null && child !== undefined && child !== false)
      node.append(document.createTextNode(clean(child)));
  }
}

function setProp(node, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (name.startsWith('on')) {
    listen(node, name.slice(2), value);
  } else if (name === 'value') {
    node.value = value;
    node.wantedValue = value;
  } else if (name === 'own') {
    node.own = value;
    node.setAttribute('data-own', value.key);
  } else if (name === 'key') {
    node.setAttribute('data-key', value);
  } else if (name === 'part') {
    // Widths of bars and the like: style attributes are refused by the content security policy, properties are not.
    node.style.setProperty('--part', String(value));
    node.part1 = value;
  } else {
    if (name === 'href' && !OWN_LINK.test(value)) throw new Error('not a link of this sensor');
    node.setAttribute(name, value === true ? '' : value);
  }
}

// One listener a type, so that `render` can hand handlers over from one tree to the next.
function listen(node, type, handler) {
  node.handlers ??= {};
  if (!(type in node.handlers)) node.addEventListener(type, (event) => node.handlers[type]?.(event));
  node.handlers[type] = handler;
}

// Shows `wanted` (nodes) as the children of `root`.
export function render(root, ...wanted) {
  const holder = document.createElement('div');
  append(holder, wanted);
  children(root, [...holder.childNodes]);
  for (const node of root.querySelectorAll('[data-own]')) {
    if (node.own && !node.mounted) {
      node.mounted = true;
      node.own.mount(node);
    }
  }
}

function keyOf(node) {
  return node.nodeType === Node.ELEMENT_NODE ? node.getAttribute('data-key') : null;
}

function children(parent, wanted) {
  const keyed = new Map();
  for (const node of parent.childNodes) {
    const key = keyOf(node);
    if (key !== null) keyed.set(key, node);
  }
  let at = parent.firstChild;
  for (const want of wanted) {
    const key = keyOf(want);
    let have = key === null ? at : keyed.get(key);
    if (have && key === null && (keyOf(have) !== null || !alike(have, want))) have = null;
    if (have && key !== null && !alike(have, want)) have = null;
    if (have) {
      if (have === at) at = at.nextSibling;
      else parent.insertBefore(have, at);
      if (key !== null) keyed.delete(key);
      same(have, want);
    } else {
      parent.insertBefore(want, at);
    }
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

function alike(have, want) {
  return (
    have.nodeType === want.nodeType &&
    have.nodeName === want.nodeName &&
    (have.own?.key ?? null) === (want.own?.key ?? null)
  );
}

function same(have, want) {
  if (have.nodeType === Node.TEXT_NODE) {
    if (have.data !== want.data) have.data = want.data;
    return;
  }
  for (const name of have.getAttributeNames()) {
    const kept = (name === 'open' && (have.nodeName === 'DIALOG' || have.nodeName === 'DETAILS')) || name === 'style';
    if (!want.hasAttribute(name) && !kept) have.removeAttribute(name);
  }
  for (const name of want.getAttributeNames()) {
    const value = want.getAttribute(name);
    if (name !== 'style' && have.getAttribute(name) !== value) have.setAttribute(name, value);
  }
  if (want.part1 !== undefined && want.part1 !== have.part1) {
    have.style.setProperty('--part', String(want.part1));
    have.part1 = want.part1;
  }
  if ('wantedValue' in want && want.wantedValue !== have.wantedValue) {
    have.value = want.wantedValue;
    have.wantedValue = want.wantedValue;
  }
  for (const type of Object.keys(have.handlers ?? {})) {
    if (!want.handlers?.[type]) have.handlers[type] = null;
  }
  for (const [type, handler] of Object.entries(want.handlers ?? {})) listen(have, type, handler);
  if (!have.own) children(have, [...want.childNodes]);
}
