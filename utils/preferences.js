for (const box of document.querySelectorAll('.prefer:not([data-alive])')) {
  const source = box.querySelector('script[type="application/json"]');
  if (!source) continue;
  box.dataset.alive = '1';
  const data = JSON.parse(source.textContent), n = data.pairs.length;
  const one = name => box.querySelector(name), all = name => [...box.querySelectorAll(name)];
  const dot = (a, b) => a.reduce((sum, x, i) => sum + x * b[i], 0);

  /* utils.preferences.fit_bradley_terry, step by step */
  const solve = (matrix, right) => {  /* positive definite: no pivoting */
    const rows = matrix.map((row, i) => [...row, right[i]]);
    rows.forEach((pivot, i) => rows.forEach((row, r) => {
      if (r === i) return;
      const times = row[i] / pivot[i];
      for (let c = i; c < row.length; c++) row[c] -= times * pivot[c];
    }));
    return rows.map((row, i) => row[row.length - 1] / row[i]);
  };
  const fit = (differences, l2) => {
    const loses = w => differences.map(d => 1 / (1 + Math.exp(dot(d, w))));
    const slope = w => {
      const p = loses(w);
      return w.map((x, i) => l2 * x - dot(differences.map(d => d[i]), p));
    };
    const norm = x => Math.hypot(...x);
    let w = differences[0].map(() => 0), g = slope(w);
    const enough = 1e-12 * (l2 + differences.flat().reduce((sum, x) => sum + Math.abs(x), 0));
    while (norm(g) > enough) {
      const p = loses(w).map(p => p * (1 - p));
      const curve = w.map((_, i) => w.map((_, j) => (i === j ? l2 : 0) +
        dot(differences.map(d => d[i] * d[j]), p)));
      const step = solve(curve, g);
      let part = 1, next, flatter;
      for (;; part /= 2) {
        if (part < 1e-9) return w;
        next = w.map((x, i) => x - part * step[i]);
        flatter = slope(next);
        if (norm(flatter) <= (1 - part / 4) * norm(g)) break;
      }
      w = next; g = flatter;
    }
    return w;
  };
  box.fit = fit;

  /* 0 or 1 for the side that was chosen of each pair so far, -1 for a skip */
  let past = [], order = data.heldOut.map((_, i) => i);
  const twins = [...document.querySelectorAll('.prefer')].filter(other => other.id === box.id);
  const key = 'learning-to-align:' + box.id + ':' + twins.indexOf(box);
  try {
    const kept = JSON.parse(localStorage.getItem(key)) || [];
    if (kept.length <= n && kept.every(side => [-1, 0, 1].includes(side))) past = kept;
  } catch {}  /* no storage here */
  const chosen = () => past.map((side, i) => [side, i]).filter(([side]) => side >= 0);
  const lines = () => chosen().map(([side, i]) => JSON.stringify({
    prompt: data.pairs[i][0], winning_response: data.pairs[i][1 + side],
    losing_response: data.pairs[i][2 - side]}) + '\n').join('');
  const signed = x => (x < -.005 ? '−' : x > .005 ? '+' : '') + Math.abs(x).toFixed(2);

  const items = all('ol li'), cards = all('.response');
  const choose = cards.map(card => card.querySelector('button'));
  const [skip, undo, save] = ['.skip', '.undo', '.save'].map(one);
  const show = () => {
    const at = past.length, pair = data.pairs[at];
    one('.head span').textContent = pair ? `pair ${at + 1} of ${n}` : `all ${n} pairs seen`;
    one('.asked small').textContent = pair ? 'prompt' : '';
    one('.asked b').textContent = pair ? pair[0] : 'That was the last pair. Save your choices below, or undo.';
    one('.two').hidden = !pair;
    if (pair) cards.forEach((card, i) => { card.querySelector('p').textContent = pair[i + 1]; });
    for (const button of [...choose, skip]) button.disabled = !pair;
    undo.disabled = !at;

    const rows = chosen().map(([side, i]) => data.differences[i].map(x => side ? -x : x));
    const w = rows.length ? fit(rows, data.l2) : data.heldOut[0].map(() => 0);
    const widest = Math.max(1, ...w.map(Math.abs));
    all('ul li').forEach((item, i) => {
      const [less, more] = item.querySelectorAll('span'), bar = item.querySelector('b');
      bar.style.width = 50 * Math.abs(w[i]) / widest + '%';
      bar.style.left = 50 + Math.min(0, 50 * w[i] / widest) + '%';
      bar.className = less.className = w[i] < -.005 ? 'less' : '';
      more.className = w[i] > .005 ? 'more' : '';
      item.querySelector('var').textContent = signed(w[i]);
    });

    const reward = data.heldOut.map(x => dot(x, w)), before = order;
    order = data.heldOut.map((_, i) => i).sort((a, b) => reward[b] - reward[a] || a - b);
    const tops = items.map(item => item.getBoundingClientRect().top);
    order.forEach((i, rank) => {
      const [text, value, move] = items[i].children, up = before.indexOf(i) - rank;
      value.textContent = signed(reward[i]);
      move.textContent = up > 0 ? '▲ up ' + up : up < 0 ? '▼ down ' + -up : '';
      move.className = up > 0 ? 'more' : up < 0 ? 'less' : '';
      items[i].parentNode.append(items[i]);
    });
    if (!matchMedia('(prefers-reduced-motion: reduce)').matches)
      items.forEach((item, i) => {
        const from = tops[i] - item.getBoundingClientRect().top;
        if (from) item.animate([{transform: `translateY(${from}px)`}, {transform: 'none'}], 350);
      });

    const agrees = rows.filter(row => dot(row, w) > 0).length, s = rows.length === 1 ? '' : 's';
    one('output').textContent = rows.length
      ? `${rows.length} choice${s}; the reward agrees with ${agrees} of them.`
      : 'No choice yet: the reward is 0 for all.';
    /* to be heard: the eye sees it below */
    one('output').append(Object.assign(document.createElement('span'), {
      textContent: ` Ranked first: ${items[order[0]].firstElementChild.textContent}`}));
    one('textarea').value = lines();
    save.disabled = !rows.length;
    tell(rows.length);
  };

  let told = 0;
  const tell = count => {  /* Colab's Python, if it runs */
    if (!count && !told) return;
    told = count;
    try {
      google.colab.kernel.invokeFunction(box.id, [lines()], {}).then(
        () => { one('.save + span').textContent = `In Python too: page.preferences has ${count}.`; }, () => {});
    } catch {}  /* not Colab, or no kernel */
  };
  const change = next => {
    past = next;
    try { localStorage.setItem(key, JSON.stringify(past)); } catch {}
    show();
    one('.asked').focus();  /* what comes next is read out; Tab leads to its buttons */
  };
  const take = side => { if (past.length < n) change([...past, side]); };
  const back = () => { if (past.length) change(past.slice(0, -1)); };
  choose.forEach((button, side) => button.addEventListener('click', () => take(side)));
  skip.addEventListener('click', () => take(-1));
  undo.addEventListener('click', back);
  save.addEventListener('click', () => {
    const link = document.createElement('a');
    link.href = URL.createObjectURL(new Blob([lines()], {type: 'application/jsonl'}));
    link.download = 'preferences.jsonl';
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
  /* keys belong to the choice, not to the slides or the notebook */
  box.setAttribute('data-lm-suppress-shortcuts', 'true');
  box.addEventListener('keydown', event => {
    event.stopPropagation();
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (event.target.tagName === 'TEXTAREA') return;
    const act = {
      1: () => take(0), arrowleft: () => take(0), 2: () => take(1),
      arrowright: () => take(1), s: () => take(-1), u: back,
    }[event.key.toLowerCase()];
    if (!act) return;
    event.preventDefault();
    act();
  });
  show();
}
