// What the pages of the flow do beyond forms and links: they show times in the browser's zone, and look again by themselves.
'use strict';

(() => {
  const short = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short', year: 'numeric', hour: '2-digit', minute: '2-digit' });
  const long = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
  const times = (within) => {
    for (const time of within.querySelectorAll('time[datetime]')) {
      const at = new Date(time.dateTime);
      if (!Number.isNaN(at.getTime())) time.textContent = ('seconds' in time.dataset ? long : short).format(at);
    }
  };
  times(document);

  // Days are the browser's own, where no other zone was asked for.
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (document.querySelector('[data-zone]') && zone && zone !== 'UTC') {
    const address = new URL(location.href);
    address.searchParams.set('zone', zone);
    location.replace(address);
    return;
  }

  // Parts of a page that look again: each is replaced by what the same address shows then.
  const REACHED = 'a[href], button, input, select, summary, [tabindex]';
  const paused = new Set();
  const say = (text) => { document.getElementById('said').textContent = text; };

  // What was open stays open, and what had the focus keeps it. What says the same is left as it is.
  const renew = (shown, now) => {
    if (now.textContent === shown.textContent && 'done' in now.dataset === 'done' in shown.dataset) return;
    const open = [...shown.querySelectorAll('details')].map((details) => details.open);
    now.querySelectorAll('details').forEach((details, n) => { details.open = open[n] ?? details.open; });
    const focused = [...shown.querySelectorAll(REACHED)].indexOf(document.activeElement);
    shown.replaceWith(now);
    if (focused >= 0) now.querySelectorAll(REACHED)[focused]?.focus({ preventScroll: true });
    if (now.dataset.says && now.dataset.says !== shown.dataset.says) say(now.dataset.says);
  };

  const live = (id) => {
    const begin = document.getElementById(id);
    if (!begin || 'done' in begin.dataset) return;
    let wait = Number(begin.dataset.every);
    const look = async () => {
      const shown = document.getElementById(id);
      if (!document.hidden && !paused.has(id)) {
        try {
          const answer = await fetch(shown.dataset.live, { credentials: 'same-origin' });
          const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
          const now = page.getElementById(id);
          if (page.body.dataset.page === 'sign-in') return location.assign(answer.url);
          if (!now && answer.ok && shown.dataset.gone) return location.assign(shown.dataset.gone);
          if (now && answer.ok && !paused.has(id)) {
            times(now);
            renew(shown, document.adoptNode(now));
            if ('done' in now.dataset) return undefined;
            wait = Number(now.dataset.every);
          }
        } catch {
          wait = Math.min(wait * 2, 60_000);
        }
      }
      setTimeout(look, wait);
      return undefined;
    };
    setTimeout(look, wait);
  };
  for (const part of document.querySelectorAll('[data-live]')) live(part.id);

  for (const button of document.querySelectorAll('button[data-pauses]')) {
    const id = button.dataset.pauses;
    button.hidden = false;
    button.addEventListener('click', () => {
      const pause = !paused.has(id);
      if (pause) paused.add(id);
      else paused.delete(id);
      button.setAttribute('aria-pressed', String(pause));
      say(pause ? 'The page stays as it is.' : 'The page looks again by itself.');
    });
  }
})();
