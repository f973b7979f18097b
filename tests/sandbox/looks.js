// What a screen of the page must not have, as sentences; evaluated in the page by looks.py.
//
// Cut: text beyond the edge of a box that hides what is beyond it (an ellipsis says so, a box that scrolls shows it).
// Wide: something beyond the left or the right edge of the window. Overlaps: two controls, or two texts, in one place.
() => {
  const SLACK_PX = 1.5;
  const dialog = [...document.querySelectorAll("dialog[open]")].at(-1);
  const root = dialog ?? document.body;
  const styles = new Map();
  const styleOf = (element) => {
    if (!styles.has(element)) styles.set(element, getComputedStyle(element));
    return styles.get(element);
  };
  const isShown = (element) => element.checkVisibility({ opacityProperty: true, visibilityProperty: true, contentVisibilityAuto: true });
  const isForReaders = (element) => { // shown to screen readers only
    for (let at = element; at && at !== document.body; at = at.parentElement) {
      const box = at.getBoundingClientRect();
      if (styleOf(at).position === "absolute" && box.width <= 1.5 && box.height <= 1.5) return true;
    }
    return false;
  };
  const scrolls = (value) => value === "auto" || value === "scroll";
  const hides = (value) => value === "hidden" || value === "clip";
  const ancestors = (element) => {
    const found = [];
    for (let at = element; at; at = at.parentElement) found.push(at);
    return found;
  };
  const inner = (element) => {
    const box = element.getBoundingClientRect();
    const left = box.left + element.clientLeft;
    const top = box.top + element.clientTop;
    return { left, top, right: left + element.clientWidth, bottom: top + element.clientHeight };
  };
  const name = (element) => `<${element.tagName.toLowerCase()}> “${(element.ariaLabel || element.textContent || element.placeholder || "").trim().replace(/\s+/g, " ").slice(0, 60)}”`;
  const scrollerOf = (element) => ancestors(element).find((each) => scrolls(styleOf(each).overflowY) || styleOf(each).position === "fixed" || each.popover) ?? document.body;

  // The part of a box that is not cut off or scrolled away by what is around it, as far as `until`.
  const seen = (box, element, until = null) => {
    let { left, top, right, bottom } = box;
    for (const each of ancestors(element)) {
      if (each === until) return { left, top, right, bottom };
      const style = styleOf(each);
      if (style.overflowX === "visible" && style.overflowY === "visible") continue;
      const edge = inner(each);
      [left, right] = [Math.max(left, edge.left), Math.min(right, edge.right)];
      [top, bottom] = [Math.max(top, edge.top), Math.min(bottom, edge.bottom)];
    }
    return { left: Math.max(left, 0), top: Math.max(top, 0), right: Math.min(right, innerWidth), bottom: Math.min(bottom, innerHeight) };
  };

  const faults = new Set();
  if (document.documentElement.scrollWidth > innerWidth) faults.add(`the window scrolls sideways: ${document.documentElement.scrollWidth} px in ${innerWidth}`);

  const texts = [];
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    const element = node.parentElement;
    if (!node.data.trim() || !isShown(element) || isForReaders(element)) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const box of range.getClientRects()) {
      if (box.width < 1) continue;
      texts.push({ node, element, box });
      let across = true;
      let down = true;
      for (const each of ancestors(element)) {
        const style = styleOf(each);
        const edge = inner(each);
        if (each.clientWidth === 0 && style.display === "inline") continue;
        if (style.textOverflow === "ellipsis" || style.webkitLineClamp !== "none") across = down = false;
        if (across && hides(style.overflowX) && (box.right > edge.right + SLACK_PX || box.left < edge.left - SLACK_PX)) faults.add(`cut at the side: ${name(element)} in ${each.className || each.tagName}`);
        if (down && hides(style.overflowY) && (box.bottom > edge.bottom + 4 || box.top < edge.top - 4)) faults.add(`cut above or below: ${name(element)} in ${each.className || each.tagName}`);
        if (scrolls(style.overflowX)) across = false;
        if (scrolls(style.overflowY)) down = false;
        if (style.position === "fixed") break;
      }
      if (across && (box.right > innerWidth + SLACK_PX || box.left < -SLACK_PX)) faults.add(`beyond the window: ${name(element)}`);
    }
  }

  const CONTROLS = "button, a[href], input, textarea, select, summary";
  const controls = [...root.querySelectorAll(CONTROLS)].filter((element) => isShown(element) && !isForReaders(element)).map((element) => ({ element, box: element.getBoundingClientRect() }));
  for (const { element, box } of controls) {
    if (box.width < 8 || box.height < 8) faults.add(`too small to press: ${name(element)}`);
    const sideways = ancestors(element).some((each) => each !== element && scrolls(styleOf(each).overflowX) && each.scrollWidth > each.clientWidth);
    if (!sideways && (box.right > innerWidth + SLACK_PX || box.left < -SLACK_PX)) faults.add(`beyond the window: ${name(element)}`);
    if (["BUTTON", "TEXTAREA", "INPUT"].includes(element.tagName) && styleOf(element).textOverflow !== "ellipsis" && !scrolls(styleOf(element).overflowX) && element.scrollWidth > element.clientWidth + SLACK_PX) faults.add(`wider inside than outside: ${name(element)}`);
  }

  // Two things in one place. Within one scrolled box all of it counts; between boxes what is in sight.
  const overlap = (first, second) => {
    const same = first.scroller === second.scroller;
    const [one, other] = same ? [first.whole, second.whole] : [first.seen, second.seen];
    return { width: Math.min(one.right, other.right) - Math.max(one.left, other.left), height: Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top) };
  };
  // What is meant to lie over the rest is compared with itself only.
  const isLayer = (element) => element.popover || ["fixed", "absolute"].includes(styleOf(element).position);
  const layerOf = (element) => ancestors(element).find(isLayer) ?? null;
  const placed = (things) => things.map((thing) => {
    const scroller = scrollerOf(thing.element);
    return { ...thing, scroller, whole: seen(thing.box, thing.element, scroller), seen: seen(thing.box, thing.element), layer: layerOf(thing.element) };
  });
  const pairs = (things, judge) => things.forEach((first, index) => things.slice(index + 1).forEach((second) => first.layer === second.layer && judge(first, second, overlap(first, second))));
  pairs(placed(controls), (first, second, { width, height }) => {
    if (width <= SLACK_PX || height <= SLACK_PX) return;
    if (first.element.contains(second.element) || second.element.contains(first.element)) return;
    faults.add(`controls overlap: ${name(first.element)} and ${name(second.element)}`);
  });
  pairs(placed(texts), (first, second, { width, height }) => {
    if (first.node === second.node || width <= 2 || height <= 0.5 * Math.min(first.box.height, second.box.height)) return;
    faults.add(`texts overlap: ${name(first.element)} and ${name(second.element)}`);
  });
  return [...faults];
}
