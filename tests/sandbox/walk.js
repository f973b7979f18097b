// A walk through the page with the Tab key, judged: evaluated once by test_story_keyboard.py, which then presses Tab and calls
// `walk.look()` at each stop, and `walk.judge()` at the end. What comes to the page on the way (a line of the ledger) need not be
// reached: the walk may have been past its place.
() => {
  const UP = 4; // a ring may be drawn by a box around what has the focus
  const NATIVE = ["BUTTON", "A", "INPUT", "TEXTAREA", "SUMMARY"]; // what Enter and Space press without a program
  const name = (element) => `${element.tagName.toLowerCase()} “${(element.ariaLabel || element.textContent || element.placeholder || "").trim().slice(0, 50)}”`;
  const ring = (element) => {
    const found = [];
    for (let at = element, up = 0; at && up < UP; at = at.parentElement, up += 1) {
      const { outlineStyle, outlineWidth, outlineColor, boxShadow, borderColor } = getComputedStyle(at);
      found.push(outlineStyle === "none" ? "none" : `${outlineStyle} ${outlineWidth} ${outlineColor}`, boxShadow, borderColor);
    }
    return found.join("|");
  };
  // What lies over the middle of the part that is within the window; null when nothing does.
  const cover = (element) => {
    const box = element.getBoundingClientRect();
    const x = (Math.max(box.left, 0) + Math.min(box.right, innerWidth)) / 2;
    const y = (Math.max(box.top, 0) + Math.min(box.bottom, innerHeight)) / 2;
    const top = document.elementFromPoint(x, y);
    if (top && (element.contains(top) || top.contains(element) || element.closest("label")?.contains(top))) return null;
    return `${top ? name(top) : "the edge of the window"} at ${Math.round(x)}, ${Math.round(y)}`;
  };
  const CONTROLS = "button:enabled, a[href], input:enabled, textarea:enabled, summary, [role=button]";
  const there = new Set(document.querySelectorAll(CONTROLS));
  const rings = new Map();
  const faults = [];
  window.walk = {
    look() {
      const element = document.activeElement;
      if (element === document.body) return "out";
      if (rings.has(element)) return "again";
      rings.set(element, ring(element));
      const over = cover(element);
      if (over) faults.push(`reached out of sight: ${name(element)} is behind ${over}`);
      return "new";
    },
    judge() {
      document.activeElement.blur();
      for (const [element, focused] of rings) if (element.isConnected && ring(element) === focused) faults.push(`no focus ring: ${name(element)}`);
      for (const element of document.querySelectorAll(CONTROLS)) {
        if (!there.has(element) || !element.checkVisibility({ visibilityProperty: true })) continue;
        if (!rings.has(element)) faults.push(`not reached: ${name(element)}`);
        if (!NATIVE.includes(element.tagName)) faults.push(`takes no key: ${name(element)}`);
      }
      return { faults, stops: rings.size };
    },
  };
}
