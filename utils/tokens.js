for (const box of document.querySelectorAll('.type-tokens:not([data-alive])')) {
  const data = box.querySelector('script[type="application/json"]');
  if (!data) continue;
  box.dataset.alive = '1';
  /* A merge's turn and the id of what it makes are one number. */
  const made = new Map(), bytes = [];
  for (let b = 0; b < 256; b++) bytes.push([b]);
  for (const [left, right] of JSON.parse(data.textContent).merges) {
    made.set(left * 65536 + right, bytes.length);
    bytes.push([...bytes[left], ...bytes[right]]);
  }
  /* Not \s: in JavaScript that lacks one space and has one more. */
  const space = '\\t-\\r \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';
  const words = new RegExp(
    "'(?:[stmd]|re|ve|ll)| ?\\p{L}+| ?\\p{N}+" +
    `| ?[^${space}\\p{L}\\p{N}]+|[${space}]+(?![^${space}])|[${space}]+`, 'gu');
  const encodeWord = word => {
    const ids = [...new TextEncoder().encode(word)];
    for (;;) {
      let first = Infinity, at = -1;
      for (let i = 0; i + 1 < ids.length; i++) {
        const id = made.get(ids[i] * 65536 + ids[i + 1]);
        if (id < first) { first = id; at = i; }
      }
      if (at < 0) return ids;
      ids.splice(at, 2, first);
    }
  };
  const shown = id => {
    try {
      const text = new TextDecoder('utf-8', {fatal: true, ignoreBOM: true})
        .decode(new Uint8Array(bytes[id]));
      return text.replace(/ /g, '␣').replace(/\n/g, '⏎').replace(/\t/g, '⇥');
    } catch { return '…'; }  /* a part of a character */
  };
  const add = (parent, name, text) => {
    const node = parent.appendChild(document.createElement(name));
    node.textContent = text;
    return node;
  };
  const area = box.querySelector('textarea'), list = box.querySelector('.tokens');
  const show = () => {
    const text = area.value, n = [...text].length;
    const ids = (text.match(words) || []).flatMap(encodeWord);
    list.replaceChildren();
    for (const id of ids) {
      const token = add(list, 'span', '');
      token.setAttribute('role', 'listitem');
      add(token, 'b', shown(id));
      add(token, 'i', id);
      add(token, 'small', bytes[id].map(
        b => b.toString(16).toUpperCase().padStart(2, '0')).join(' '));
    }
    const size = ids.reduce((sum, id) => sum + bytes[id].length, 0);
    box.querySelector('output').textContent =
      `${ids.length} tokens, ${n} characters, ${size} bytes`;
  };
  area.addEventListener('input', show);
  /* keys belong to the text, not to the slides */
  box.addEventListener('keydown', event => event.stopPropagation());
  if (area.value !== area.defaultValue) show();  /* kept by the browser */
}
