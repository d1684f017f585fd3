/* Headless Chromium draws no frame while it prints, and reveal's print layout
   waits for one: without this the PDF of ?print-pdf is blank. */
const printing = /print-pdf/.test(location.search);
if (printing) {
  window.requestAnimationFrame = f => setTimeout(() => f(performance.now()), 0);
}

/* Shrink text and pictures of a slide together, in small steps, until it fits.
   The floor keeps code readable: what still overflows there needs two slides. */
const SMALLEST = 0.7;
function fit(slide) {
  for (let size = 1; size >= SMALLEST - 0.001; size -= 0.05) {
    slide.style.setProperty('--fit', size.toFixed(2));
    if (slide.scrollHeight <= slide.clientHeight) return;
  }
}
const fitAll = () => document.querySelectorAll('.slides > section').forEach(fit);

Reveal.initialize({
  width: 1280, height: 720, margin: 0, center: false,
  hash: true, transition: 'none', slideNumber: 'c/t',
  // all slides stay laid out, so that each can be measured and typeset
  viewDistance: 1000, mobileViewDistance: 1000,
  pdfSeparateFragments: false, pdfPageHeightOffset: -2,
  plugins: [RevealNotes],
});

window.addEventListener('load', async () => {
  await MathJax.startup.promise;
  await Promise.all([...document.images].map(i => i.decode().catch(() => {})));
  fitAll();
  // a figure that draws itself when its slide comes into view
  Reveal.on('slidechanged', event => setTimeout(() => fit(event.currentSlide), 300));
  window.deckReady = true;
});
