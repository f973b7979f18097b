// The few icons of the page, as inline SVG. Drawn for this page; decoration only (aria-hidden), words are always beside them.

import { html } from "./vendor/htm-preact-standalone.js";

const PATHS = {
  hash: "M6.5 2.5 5 13.5M11 2.5 9.5 13.5M2.5 5.5h11.5M2 10.5h11.5",
  lock: "M4 7.5h8v6H4zM5.5 7.5V5a2.5 2.5 0 0 1 5 0v2.5",
  archive: "M2.5 3h11v3h-11zM3.5 6v7h9V6M6.5 8.5h3",
  close: "m3.5 3.5 9 9m0-9-9 9",
  menu: "M2.5 4.5h11M2.5 8h11M2.5 11.5h11",
  more: "M8 3.2v.1M8 8v.1M8 12.8v.1",
  reply: "M13.5 8.2c0 2.6-2.5 4.6-5.5 4.6-.8 0-1.6-.1-2.3-.4L2.8 13.3l.8-2.4A4.2 4.2 0 0 1 2.5 8.2c0-2.6 2.5-4.7 5.5-4.7s5.5 2.100 5.500 4.700Z",
  send: "M2.500 13.500 14 8 2.500 2.500v4.200L9 8l-6.500 1.300z",
  down: "m4 6 4 4 4-4",
  bolt: "M9 1.500 3.500 9H7l-.8 5.500L12 7H8.500z",
  people: "M6 8a2.500 2.500 0 1 0 0-5 2.500 2.500 0 0 0 0 5ZM1.500 13.500c.3-2.400 2-3.800 4.500-3.800s4.200 1.400 4.500 3.800M10.500 8a2.300 2.300 0 0 0 .6-4.500M12 10c1.500.5 2.300 1.700 2.500 3.500",
  globe: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12ZM2 8h12M8 2c2 2 2.500 4 2.500 6S10 12 8 14c-2-2-2.500-4-2.500-6S6 4 8 2Z",
  warn: "M8 2 1.500 13.500h13zM8 6.500V10M8 11.700v.1",
  check: "m3 8.500 3.500 3.500L13 4.500",
  eye: "M1.500 8S4 3.500 8 3.500 14.500 8 14.500 8 12 12.500 8 12.500 1.500 8 1.500 8ZM8 10a2 2 0 1 0 0-4 2 2 0 0 0 0 4Z",
  plus: "M8 3v10M3 8h10",
  link: "M6.500 9.500 9.500 6.500M7.500 4.500l1.300-1.300a2.800 2.800 0 0 1 4 4L11.500 8.500M8.500 11.500l-1.300 1.300a2.800 2.800 0 0 1-4-4L4.500 7.500",
};

export function Icon({ name }) {
  return html`<svg class="icon" viewBox="0 0 16 16" aria-hidden="true" focusable="false"><path d=${PATHS[name]} /></svg>`;
}
