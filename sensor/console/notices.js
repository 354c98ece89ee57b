// Short messages at the edge of the page, read out by screen readers, and dialogs.

import { h, render } from './dom.js';

const SHOWN_FOR = 6000;
const MOST = 4;
const shown = [];
let number = 0;

export function notice(text, kind = 'info', link = null) {
  const id = String((number += 1));
  shown.push({ id, text, kind, link });
  if (shown.length > MOST) shown.shift();
  draw();
  setTimeout(() => dismiss(id), kind === 'failed' ? SHOWN_FOR * 2 : SHOWN_FOR);
}

// Beside what a person filled in.
export function problemLine(problem) {
  if (!problem) return null;
  const remedy = problem.remedy ? `. What helps: ${problem.remedy}` : '';
  return h('p', { class: 'problem-line', role: 'alert' }, problem.message, remedy);
}

export function failure(problem) {
  notice(problem.remedy ? `${problem.message}. What helps: ${problem.remedy}` : problem.message, 'failed');
}

function dismiss(id) {
  const at = shown.findIndex((one) => one.id === id);
  if (at >= 0) shown.splice(at, 1);
  draw();
}

function draw() {
  render(
    document.getElementById('notices'),
    shown.map((one) =>
      h(
        'div',
        { class: `notice ${one.kind}`, key: one.id },
        h('span', {}, one.text),
        one.link ? h('a', { href: one.link }, 'Show') : null,
        h('button', { type: 'button', class: 'plain', 'aria-label': 'Dismiss', onclick: () => dismiss(one.id) }, '×'),
      ),
    ),
  );
}

// A form over the page. `fields`: {name, label, kind: 'text'|'area'|'check'|'select', hint, required, options, value}.
// `submit(values)` may throw a Problem, which is then shown in the dialog.
export function form({ title, intro, fields, action, danger, submit }) {
  const before = document.activeElement;
  const dialog = h('dialog', { class: 'dialog', 'aria-labelledby': 'dialog-title' });
  let busy = false;
  let problem = null;

  async function send(event) {
    event.preventDefault();
    if (busy) return;
    busy = true;
    draw();
    const values = Object.fromEntries(
      fields.map((field) => {
        const control = dialog.querySelector(`[name="${field.name}"]`);
        return [field.name, field.kind === 'check' ? control.checked : control.value.trim()];
      }),
    );
    try {
      await submit(values);
      dialog.close();
    } catch (error) {
      problem = error;
    }
    busy = false;
    draw();
  }

  function control(field) {
    const common = {
      id: `field-${field.name}`,
      name: field.name,
      required: field.required,
      'aria-describedby': field.hint ? `hint-${field.name}` : null,
    };
    if (field.kind === 'area') return h('textarea', { ...common, rows: 3, maxlength: 4000 });
    if (field.kind === 'check') return h('input', { ...common, type: 'checkbox' });
    if (field.kind === 'select')
      return h(
        'select',
        common,
        field.options.map((option) => h('option', { value: option }, option)),
      );
    return h('input', {
      ...common,
      type: 'text',
      maxlength: field.most ?? 400,
      autocomplete: 'off',
      placeholder: field.placeholder,
    });
  }

  function draw() {
    render(
      dialog,
      h(
        'form',
        { method: 'dialog', onsubmit: send },
        h('h2', { id: 'dialog-title' }, title),
        intro ? h('p', { class: 'quiet' }, intro) : null,
        fields.map((field) =>
          h(
            'div',
            { class: `field ${field.kind ?? 'text'}` },
            h('label', { for: `field-${field.name}` }, field.label),
            control(field),
            field.hint ? h('p', { class: 'hint', id: `hint-${field.name}` }, field.hint) : null,
          ),
        ),
        problemLine(problem),
        h(
          'div',
          { class: 'dialog-actions' },
          h('button', { type: 'button', onclick: () => dialog.close() }, 'Cancel'),
          h(
            'button',
            { type: 'submit', class: danger ? 'danger' : 'primary', disabled: busy },
            busy ? 'Working…' : action,
          ),
        ),
      ),
    );
  }

  draw();
  for (const field of fields) {
    if (field.value !== undefined) dialog.querySelector(`[name="${field.name}"]`).value = field.value;
  }
  dialog.addEventListener('close', () => {
    dialog.remove();
    before?.focus?.();
  });
  document.body.append(dialog);
  dialog.showModal();
  dialog.querySelector('input, textarea, select')?.focus();
}
