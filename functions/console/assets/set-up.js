// Set-up pages: only the fields that belong to the chosen way, and forms that are sent without leaving the page, so
// that a secret that was typed stays typed. Without it the pages work as well.
'use strict';

(() => {
  const main = document.getElementById('main');

  // What belongs to another way of authorization is hidden, and not sent.
  const choose = () => {
    const auth = document.getElementById('auth');
    if (!auth) return;
    for (const field of document.querySelectorAll('[data-for]')) {
      const belongs = field.dataset.for.split(' ').includes(auth.value);
      field.hidden = !belongs;
      for (const control of field.querySelectorAll('input, select, textarea')) control.disabled = !belongs;
    }
    for (const more of document.querySelectorAll('.more')) {
      const fields = [...more.querySelectorAll('.field')];
      more.hidden = fields.length > 0 && fields.every((field) => field.hidden);
    }
  };
  choose();
  main.addEventListener('change', (event) => { if (event.target.id === 'auth') choose(); });

  const focus = (id) => {
    const title = document.getElementById(id);
    if (title) title.focus();
  };

  // A link to a field that is folded away, or hidden, opens it.
  main.addEventListener('click', (event) => {
    const link = event.target.closest('a[href^="#"]');
    const field = link && document.getElementById(link.getAttribute('href').slice(1));
    if (!field) return;
    event.preventDefault();
    const fold = field.closest('details');
    if (fold) fold.open = true;
    field.focus();
  });

  let busy = false;
  main.addEventListener('submit', async (event) => {
    const form = event.target;
    const part = form.dataset.swap;
    if (!part) return;
    event.preventDefault();
    if (busy) return;
    busy = true;
    const status = form.querySelector('.status');
    const say = (text) => { if (status.isConnected) status.textContent = text; };
    const button = form.querySelector('[type="submit"]');
    say(form.dataset.busy);
    button.setAttribute('aria-disabled', 'true');
    try {
      const sent = { method: 'POST', credentials: 'same-origin', body: new URLSearchParams(new FormData(form)) };
      const answer = await fetch(form.action, sent);
      const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
      const now = page.getElementById(part);
      // Saved, or signed out, or something that only a page of its own can say.
      if (answer.redirected && page.body.dataset.page !== document.body.dataset.page) {
        location.assign(answer.url);
        return;
      }
      if (answer.redirected && part === 'main') {
        location.assign(answer.url);
        return;
      }
      if (!now) {
        const text = page.getElementById('notice-text');
        say(text ? text.textContent : 'This did not work. Please open the page again.');
        return;
      }
      const kept = new Map();
      for (const secret of form.querySelectorAll('input[type="password"]')) kept.set(secret.id, secret.value);
      const old = document.getElementById(part);
      old.replaceChildren(...[...now.childNodes].map((node) => document.adoptNode(node)));
      old.className = now.className;
      for (const [id, value] of kept) {
        const secret = document.getElementById(id);
        if (secret && part === 'main') secret.value = value;
      }
      if (part === 'main') document.title = page.title;
      choose();
      for (const copy of old.querySelectorAll('button[data-copy]')) copy.hidden = true;
      focus(part === 'main' ? 'result-title' : `${part}-title`);
    } catch {
      say('The console did not answer. Nothing is lost: try again.');
    } finally {
      busy = false;
      say(status.textContent === form.dataset.busy ? '' : status.textContent);
      if (button.isConnected) button.removeAttribute('aria-disabled');
    }
  });
})();
