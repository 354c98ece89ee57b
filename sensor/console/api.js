// Requests to the sensor. Errors carry what the sensor says: title, detail and remedy of problem+json.

import { encoded } from './dom.js';

const TIMEOUT = 20_000;
const listeners = { signedOut: () => {} };

export class Problem extends Error {
  constructor(status, body) {
    super(body.detail || body.title || `the sensor answered ${status}`);
    this.status = status;
    this.title = body.title ?? '';
    this.remedy = body.remedy ?? '';
  }
}

export function onSignedOut(callback) {
  listeners.signedOut = callback;
}

export const path = (...parts) => `api/v1/${parts.map((part) => encoded(part)).join('/')}`;

export function query(base, values) {
  const known = Object.entries(values).filter(([, value]) => value !== '' && value !== null && value !== undefined);
  const text = new URLSearchParams(known).toString();
  return text ? `${base}?${text}` : base;
}

export const get = (url, signal) => ask('GET', url, undefined, signal);
export const post = (url, body = {}) => ask('POST', url, body);
export const remove = (url) => ask('DELETE', url);

async function ask(method, url, body, signal) {
  const headers = { accept: 'application/json' };
  if (body !== undefined) headers['content-type'] = 'application/json';
  const limit = AbortSignal.timeout(TIMEOUT);
  let response;
  try {
    response = await fetch(url, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: signal ? AbortSignal.any([signal, limit]) : limit,
      credentials: 'same-origin',
      redirect: 'error',
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw unreachable(error);
  }
  if (!response.ok) throw await failed(response, url);
  const text = await response.text();
  return text ? parsed(text, response.status) : null;
}

function parsed(text, status) {
  try {
    return JSON.parse(text);
  } catch {
    throw new Problem(status, {
      title: 'Not JSON',
      detail: 'the answer of the sensor is not JSON',
      remedy: 'is a proxy in between? look at its log',
    });
  }
}

async function failed(response, url) {
  const text = await response.text().catch(() => '');
  let body = {};
  try {
    body = JSON.parse(text);
  } catch {
    body = { detail: `${response.status} ${response.statusText}` };
  }
  if (response.status === 401 && !url.startsWith('api/v1/session')) listeners.signedOut();
  return new Problem(response.status, body);
}

function unreachable(error) {
  const slow = error.name === 'TimeoutError';
  return new Problem(0, {
    title: slow ? 'The sensor is slow' : 'The sensor cannot be reached',
    detail: slow ? `no answer within ${TIMEOUT / 1000} s` : 'the connection failed',
    remedy: 'is vesper running? look at `systemctl status vesper` and its log; this page tries again by itself',
  });
}

// `fetch` does not say how much of a body was sent, so this is XMLHttpRequest.
export function upload(url, form, progress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open('POST', url);
    request.responseType = 'text';
    request.setRequestHeader('accept', 'application/json');
    request.upload.onprogress = (event) => progress(event.lengthComputable ? event.loaded / event.total : null);
    request.onerror = () => reject(unreachable(new Error('upload')));
    request.onload = () => {
      let body = {};
      try {
        body = JSON.parse(request.responseText);
      } catch {
        body = { detail: `${request.status} ${request.statusText}` };
      }
      if (request.status >= 200 && request.status < 300) return resolve(body);
      if (request.status === 401) listeners.signedOut();
      return reject(new Problem(request.status, body));
    };
    request.send(form);
  });
}
