// Alerts as they come: a WebSocket that comes back by itself and resumes after the last message it saw.

const FIRST_WAIT = 500;
const LONGEST_WAIT = 15_000;
// A connection that is silent for so long is asked whether it lives; one that does not answer is given up.
const PING_EVERY = 10_000;
const PONG_WITHIN = 5_000;

export function connect({ message, changed }) {
  const self = { state: 'connecting', since: Date.now(), retryAt: 0, lastId: null, stop };
  let socket = null;
  let wait = FIRST_WAIT;
  let pinger = 0;
  let deadline = 0;
  let retry = 0;
  let stopped = false;

  function become(state) {
    if (self.state !== state) self.since = Date.now();
    self.state = state;
    changed(self);
  }

  function open() {
    clearTimeout(retry);
    if (stopped) return;
    const url = new URL('ws/incidents', location.href);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    url.hash = '';
    if (self.lastId !== null) url.searchParams.set('since', String(self.lastId));
    become(self.lastId === null && wait === FIRST_WAIT ? 'connecting' : 'reconnecting');
    socket = new WebSocket(url);
    const mine = socket;
    mine.onopen = () => {
      wait = FIRST_WAIT;
      become('live');
      pinger = setInterval(ping, PING_EVERY);
    };
    mine.onmessage = (event) => {
      clearTimeout(deadline);
      take(event.data);
    };
    mine.onclose = () => {
      if (mine === socket) again();
    };
  }

  function take(data) {
    let parsed;
    try {
      parsed = JSON.parse(data);
    } catch {
      return;
    }
    if (Number.isFinite(parsed.id)) self.lastId = Math.max(self.lastId ?? 0, parsed.id);
    if (parsed.type !== 'pong') message(parsed);
  }

  function ping() {
    if (socket?.readyState !== WebSocket.OPEN) return;
    socket.send(JSON.stringify({ type: 'ping' }));
    clearTimeout(deadline);
    deadline = setTimeout(() => {
      const dead = socket;
      again();
      dead.close();
    }, PONG_WITHIN);
  }

  function again() {
    clearInterval(pinger);
    clearTimeout(deadline);
    clearTimeout(retry);
    socket = null;
    if (stopped) return;
    self.retryAt = Date.now() + wait;
    become('reconnecting');
    // Half of it at random: a restarted sensor is not met by all consoles in the same moment.
    retry = setTimeout(open, wait / 2 + (Math.random() * wait) / 2);
    wait = Math.min(wait * 2, LONGEST_WAIT);
  }

  function stop() {
    stopped = true;
    clearInterval(pinger);
    clearTimeout(deadline);
    clearTimeout(retry);
    socket?.close();
  }

  addEventListener('online', () => {
    if (self.state !== 'live') open();
  });
  open();
  return self;
}
