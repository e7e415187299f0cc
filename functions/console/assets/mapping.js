// The mapping playground: line numbers, a preview while one types, and buttons that leave what was typed where it is.
// Without it the page works as well.
'use strict';

(() => {
  const at = (id) => document.getElementById(id);
  const form = at('editor');
  const text = at('document');
  const payload = at('payload');
  const numbers = document.querySelector('.numbers');
  // The result says the same to who sees it; what went wrong is said to everybody.
  const say = (words, wrong = false) => {
    at('status').textContent = words;
    at('status').classList.toggle('away', !wrong);
  };

  // The line that a mistake is at stands out.
  let marked = 0;
  let lines = 0;
  const number = (force) => {
    const now = text.value.split('\n').length;
    if (now === lines && !force) return;
    lines = now;
    numbers.replaceChildren();
    const part = (from, to) => {
      let words = '';
      for (let n = from; n <= to; n += 1) words += `${n}\n`;
      return words;
    };
    if (marked > 0 && marked <= lines) {
      const mark = document.createElement('b');
      mark.textContent = `${marked}\n`;
      numbers.append(part(1, marked - 1), mark, part(marked + 1, lines));
    } else {
      numbers.append(part(1, lines));
    }
  };
  const follow = () => { numbers.scrollTop = text.scrollTop; };
  const size = () => { numbers.style.height = `${text.offsetHeight}px`; follow(); };
  const mark = () => {
    const link = at('result').querySelector('a[href="#document"][data-line]');
    marked = link ? Number(link.dataset.line) : 0;
    if (link) text.setAttribute('aria-invalid', 'true');
    else text.removeAttribute('aria-invalid');
    number(true);
  };
  text.addEventListener('scroll', follow);
  text.addEventListener('input', () => number(false));
  if (window.ResizeObserver) new ResizeObserver(size).observe(text);
  mark();
  size();

  // To the place of a mistake.
  at('result').addEventListener('click', (event) => {
    const link = event.target.closest('a[data-line]');
    if (!link) return;
    event.preventDefault();
    const field = at(link.getAttribute('href').slice(1));
    const before = field.value.split('\n').slice(0, Number(link.dataset.line) - 1);
    const start = before.reduce((sum, line) => sum + line.length + 1, 0);
    const line = field.value.slice(start).split('\n', 1)[0];
    field.focus();
    field.setSelectionRange(Math.min(start + Number(link.dataset.column) - 1, start + line.length), start + line.length);
    field.scrollTop = Math.max(0, (Number(link.dataset.line) - 5) * (field.scrollHeight / field.value.split('\n').length));
  });

  // A page, or nothing where the browser has to go elsewhere.
  const send = async (address, fields, signal) => {
    const sent = { method: 'POST', credentials: 'same-origin', body: new URLSearchParams(fields), signal };
    const answer = await fetch(address, sent);
    const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
    if (page.body.dataset.page === 'sign-in') {
      location.assign(answer.url);
      return null;
    }
    return page;
  };
  const take = (page, id) => {
    const now = page.getElementById(id);
    if (!now) return false;
    at(id).replaceChildren(...[...now.childNodes].map((node) => document.adoptNode(node)));
    return true;
  };
  const failed = (page) => {
    const words = page.getElementById('notice-text');
    say(words ? words.textContent : 'This did not work. Please open the page again.', true);
  };

  // Only the last one counts.
  let running = null;
  const run = async (button) => {
    clearTimeout(waiting);
    if (running) running.abort();
    const own = new AbortController();
    running = own;
    const fields = new FormData(form);
    fields.set('do', button);
    at('result').classList.add('stale');
    try {
      const page = await send(form.action, fields, own.signal);
      if (!page || running !== own) return;
      // Asked before its parts move from there to here.
      const kept = Boolean(page.getElementById('saved'));
      if (!take(page, 'result')) {
        failed(page);
        return;
      }
      take(page, 'diff');
      if (kept) {
        text.value = page.getElementById('document').value;
        at('number').value = page.getElementById('number').value;
        form.elements.from.value = page.querySelector('[name="from"]').value;
        take(page, 'active');
      }
      if (button === 'example') payload.value = page.getElementById('payload').value;
      mark();
      const title = at('result-title');
      const saved = at('saved');
      say([saved, title].filter(Boolean).map((node) => node.textContent).join(' '));
      if (button !== 'preview' && title) {
        title.focus({ preventScroll: true });
        at('result').scrollIntoView({ block: 'nearest' });
      }
    } catch (error) {
      if (error.name !== 'AbortError') say('The console did not answer. Nothing of the document is lost: try again.', true);
    } finally {
      if (running === own) {
        running = null;
        at('result').classList.remove('stale');
      }
    }
  };

  let waiting = 0;
  const soon = () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => run('preview'), 400);
  };
  text.addEventListener('input', soon);
  payload.addEventListener('input', soon);
  for (const field of [text, payload]) {
    field.addEventListener('keydown', (event) => {
      if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        run('preview');
      }
    });
  }
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    run(event.submitter ? event.submitter.value : 'preview');
  });

  // What counts is changed without leaving what was typed.
  at('active').addEventListener('submit', async (event) => {
    const changed = event.target;
    event.preventDefault();
    try {
      const page = await send(changed.action, new FormData(changed));
      if (!page) return;
      if (!take(page, 'active')) {
        failed(page);
        return;
      }
      at('active-title').focus();
      run('preview');
    } catch {
      say('The console did not answer. Please try again.', true);
    }
  });
})();
