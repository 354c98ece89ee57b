// The form for a token, when the sensor wants one.

import { h, render } from './dom.js';
import { post } from './api.js';
import { problemLine } from './notices.js';

export function signIn(main, done) {
  let problem = null;
  let busy = false;

  async function send(event) {
    event.preventDefault();
    const field = main.querySelector('#token');
    busy = true;
    problem = null;
    draw();
    try {
      await post('api/v1/session', { token: field.value.trim() });
      field.value = '';
      done();
      return;
    } catch (error) {
      problem = error;
    }
    busy = false;
    draw();
    main.querySelector('#token').select();
  }

  function draw() {
    render(
      main,
      h(
        'form',
        { class: 'panel sign-in', key: 'sign-in', onsubmit: send },
        h('h1', {}, 'Sign in'),
        h(
          'p',
          { class: 'quiet' },
          'This sensor asks for a token. Whoever runs it makes one with ',
          h('code', {}, 'vesper token new NAME --scope read'),
          '.',
        ),
        h(
          'div',
          { class: 'field' },
          h('label', { for: 'token' }, 'Token'),
          h('input', {
            id: 'token',
            type: 'password',
            autocomplete: 'current-password',
            required: true,
            spellcheck: 'false',
          }),
        ),
        problemLine(problem),
        h(
          'div',
          { class: 'dialog-actions' },
          h('button', { type: 'submit', class: 'primary', disabled: busy }, busy ? 'Signing in…' : 'Sign in'),
        ),
      ),
    );
  }

  draw();
  main.querySelector('#token').focus();
}
