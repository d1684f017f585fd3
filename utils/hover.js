for (const box of document.querySelectorAll('.hover-words:not([data-alive])')) {
  box.dataset.alive = '1';
  const source = [...box.querySelectorAll('.source span')];
  const target = [...box.querySelectorAll('.target span')];
  const show = word => {
    target.forEach(other => other.setAttribute('aria-pressed', other === word));
    word.dataset.weights.split(' ').forEach((percent, i) => {
      source[i].style.background = `rgba(230, 159, 0, ${percent / 100})`;
      source[i].lastElementChild.textContent = percent > 0 ? percent + ' %' : '';
    });
  };
  for (const word of target)
    for (const event of ['mouseenter', 'focus', 'click'])
      word.addEventListener(event, () => show(word));
}
