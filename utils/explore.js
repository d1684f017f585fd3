/* Takes every block not yet alive: a page may hold the same block twice. */
for (const box of document.querySelectorAll('.explore:not([data-alive])')) {
  const data = box.querySelector('script[type="application/json"]');
  if (!data) continue;
  box.dataset.alive = '1';
  const {frames, alts, values} = JSON.parse(data.textContent);
  const image = box.querySelector('img');
  const controls = [...box.querySelectorAll('input, select')];
  const show = () => {
    let index = 0;
    controls.forEach((control, i) => {
      const at = Number(control.value);
      index = index * values[i].length + at;
      if (control.type !== 'range') return;
      control.setAttribute('aria-valuetext', values[i][at]);
      control.nextElementSibling.value = values[i][at];
    });
    image.src = 'data:image/png;base64,' + frames[index];
    image.alt = alts[index];
  };
  for (const control of controls) control.addEventListener('input', show);
  /* arrow keys move the slider, not the slide */
  box.addEventListener('keydown', event => event.stopPropagation());
  show();
}
