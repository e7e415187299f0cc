// What the pages do beyond forms and links. Without it they work as well.
'use strict';

(() => {
  const FIELDS = ['link', 'zone', 'date_order', 'accept_counts', 'file'];
  const at = (id) => document.getElementById(id);

  document.documentElement.classList.add('with-script');

  // Buttons that copy what is in a field; where the browser does not let them, the field is selected.
  for (const button of document.querySelectorAll('button[data-copy][hidden]')) button.hidden = false;
  document.addEventListener('click', async (event) => {
    const button = event.target.closest('button[data-copy]');
    if (!button) return;
    const field = at(button.dataset.copy);
    const name = button.textContent;
    try {
      await navigator.clipboard.writeText(field.value ?? field.textContent);
      if (name === 'Copied') return;
      button.textContent = 'Copied';
      setTimeout(() => { button.textContent = name; }, 3000);
    } catch {
      field.focus();
      if (field.select) field.select();
    }
  });

  const zone = at('zone');
  if (zone && !zone.value) {
    zone.value = Intl.DateTimeFormat().resolvedOptions().timeZone || '';
    at('zone-own').hidden = !zone.value;
    zone.addEventListener('input', () => { at('zone-own').hidden = true; });
  }

  // Asks for a page; gives it as a document, or nothing where the browser has to go elsewhere, such as to sign in.
  const ask = async (address, options) => {
    const answer = await fetch(address, { credentials: 'same-origin', ...options });
    const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
    if (page.body.dataset.page === 'sign-in') {
      location.assign(answer.url);
      return null;
    }
    return page;
  };

  // The progress of an import, each second.
  let looking = 0;
  const look = async () => {
    clearTimeout(looking);
    const shown = at('progress');
    if (!shown || 'done' in shown.dataset) return;
    let wait = 1000;
    try {
      const page = await ask(shown.dataset.address);
      if (!page) return;
      const now = page.getElementById('progress');
      // What says the same is not read out again.
      if (now && now.textContent !== shown.textContent && at('progress') === shown) {
        shown.replaceWith(document.adoptNode(now));
      }
      if (!now) wait = 5000;
    } catch {
      wait = 5000;
    }
    looking = setTimeout(look, wait);
  };
  looking = setTimeout(look, 1000);

  // The form is sent without leaving the page: so the chosen file stays chosen.
  const form = at('import');
  if (!form) return;

  const say = (text) => { at('status').textContent = text; };

  const notice = (title, text) => {
    const card = document.createElement('section');
    card.className = 'card bad';
    card.setAttribute('aria-labelledby', 'result-title');
    const heading = document.createElement('h2');
    heading.id = 'result-title';
    heading.tabIndex = -1;
    heading.textContent = title;
    const words = document.createElement('p');
    words.textContent = text;
    card.append(heading, words);
    return [card];
  };

  const mark = (page) => {
    for (const name of FIELDS) {
      const error = page && page.getElementById(`${name}-error`);
      at(`${name}-error`).textContent = error ? error.textContent : '';
      const wrong = page && page.getElementById(name);
      if (wrong && wrong.getAttribute('aria-invalid')) at(name).setAttribute('aria-invalid', 'true');
      else at(name).removeAttribute('aria-invalid');
    }
  };

  const show = (nodes) => {
    at('result').replaceChildren(...nodes);
    const title = at('result-title');
    if (title) {
      title.focus({ preventScroll: true });
      at('result').scrollIntoView({ block: 'start' });
    }
    look();
  };

  let busy = false;
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    if (busy) return;
    const button = event.submitter;
    const file = at('file').files[0];
    if (file && file.size > Number(form.dataset.largest)) {
      mark(null);
      const text = 'The file has more than 10 MiB. Export a shorter period from the app; periods may overlap.';
      at('file-error').textContent = text;
      at('file').setAttribute('aria-invalid', 'true');
      show(notice('Nothing was imported', text));
      return;
    }
    busy = true;
    const check = Boolean(button && button.hasAttribute('formaction'));
    say(check ? 'Checking the file …' : 'Sending the file …');
    form.setAttribute('aria-busy', 'true');
    for (const each of form.querySelectorAll('button')) each.setAttribute('aria-disabled', 'true');
    try {
      const address = check ? button.formAction : form.action;
      const page = await ask(address, { method: 'POST', body: new FormData(form) });
      if (!page) return;
      const result = page.getElementById('result');
      if (result) {
        mark(page);
        document.title = page.title;
        show([...result.childNodes].map((node) => document.adoptNode(node)));
      } else {
        const title = page.getElementById('notice-title');
        const text = page.getElementById('notice-text');
        mark(null);
        show(notice(title ? title.textContent : 'This did not work', text ? text.textContent : 'Please open the page again.'));
      }
    } catch {
      mark(null);
      show(notice('The console did not answer', 'Your connection may be gone, or the file has changed since you chose it. Nothing is lost: try again.'));
    } finally {
      busy = false;
      say('');
      form.removeAttribute('aria-busy');
      for (const each of form.querySelectorAll('button')) each.removeAttribute('aria-disabled');
    }
  });
})();
