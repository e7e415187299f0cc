// Looks at what is on its way every two seconds. Without it the page does so by itself every ten.
'use strict';

(() => {
  document.documentElement.classList.add('with-script');
  const now = () => document.getElementById('region');
  const look = async () => {
    const shown = now();
    if (!shown || !('open' in shown.dataset)) return;
    let wait = 2000;
    try {
      const answer = await fetch(location.href, { credentials: 'same-origin' });
      const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
      const fresh = answer.ok && page.getElementById('region');
      // What says the same is not read out again.
      if (fresh && (fresh.textContent !== shown.textContent || !('open' in fresh.dataset)) && now() === shown) {
        shown.replaceWith(document.adoptNode(fresh));
      }
      if (!fresh) wait = 10000;
    } catch {
      wait = 10000;
    }
    setTimeout(look, wait);
  };
  setTimeout(look, 2000);
})();
