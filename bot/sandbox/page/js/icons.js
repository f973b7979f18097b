// The few icons of the page, as inline SVG. Drawn for this page; decoration only (aria-hidden), words are always beside them.

import { html } from "./vendor/htm-preact-standalone.js";

const PATHS = {
  hash: "M6.5 2.5 5 13.5M11 2.5 9.5 13.5M2.5 5.5h11.5M2 10.5h11.5",
  lock: "M4 7.5h8v6H4zM5.5 7.5V5a2.5 2.5 0 0 1 5 0v2.5",
  archive: "M2.5 3h11v3h-11zM3.5 6v7h9V6M6.5 8.5h3",
  close: "m3.5 3.5 9 9m0-9-9 9",
  menu: "M2.5 4.5h11M2.5 8h11M2.5 11.5h11",
  more: "M8 3.2v.1M8 8v.1M8 12.8v.1",
  reply: "M13.5 8.2c0 2.6-2.5 4.6-5.5 4.6-.8 0-1.6-.1-2.3-.4L2.8 13.3l.8-2.4A4.2 4.2 0 0 1 2.5 8.2c0-2.6 2.5-4.7 5.5-4.7s5.5 2.1 5.5 4.7Z",
  send: "M2.5 13.5 14 8 2.5 2.5v4.2L9 8l-6.5 1.3z",
  down: "m4 6 4 4 4-4",
  bolt: "M9 1.5 3.5 9H7l-.8 5.5L12 7H8.5z",
  people: "M6 8a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5ZM1.5 13.5c.3-2.4 2-3.8 4.5-3.8s4.2 1.4 4.5 3.8M10.5 8a2.3 2.3 0 0 0 .6-4.5M12 10c1.5.5 2.3 1.7 2.5 3.5",
  globe: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12ZM2 8h12M8 2c2 2 2.5 4 2.5 6S10 12 8 14c-2-2-2.5-4-2.5-6S6 4 8 2Z",
  warn: "M8 2 1.5 13.5h13zM8 6.5V10M8 11.7v.1",
  check: "m3 8.5 3.5 3.5L13 4.5",
  eye: "M1.5 8S4 3.5 8 3.5 14.5 8 14.5 8 12 12.5 8 12.5 1.5 8 1.5 8ZM8 10a2 2 0 1 0 0-4 2 2 0 0 0 0 4Z",
  smile: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12ZM5.5 9.5c.6 1 1.5 1.5 2.5 1.5s1.9-.5 2.5-1.5M6 6.2v.1M10 6.2v.1",
  home: "M2.5 7.5 8 2.5l5.5 5M4 6.5v7h8v-7M6.8 13.5V9.8h2.4v3.7",
  back: "M9.5 3.5 5 8l4.5 4.5",
  file: "M4 1.5h5l3 3v10H4zM9 1.5v3h3",
  plus: "M8 3v10M3 8h10",
  phone: "M5 1.5h6a1 1 0 0 1 1 1v11a1 1 0 0 1-1 1H5a1 1 0 0 1-1-1v-11a1 1 0 0 1 1-1ZM7 12.5h2",
  moon: "M13.5 9.8A6 6 0 0 1 6.2 2.5a6 6 0 1 0 7.3 7.3Z",
  link: "M6.5 9.5 9.5 6.5M7.5 4.5l1.3-1.3a2.8 2.8 0 0 1 4 4L11.5 8.5M8.5 11.5l-1.3 1.3a2.8 2.8 0 0 1-4-4L4.5 7.5",
};

export function Icon({ name }) {
  return html`<svg class="icon" viewBox="0 0 16 16" aria-hidden="true" focusable="false"><path d=${PATHS[name]} /></svg>`;
}
