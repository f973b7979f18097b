// How moments are written: Slack's <!date^…> tokens, message times, day dividers, the virtual clock.
// All in the browser's own time zone, as Slack does. "now" is always handed in: it is the sandbox's clock, not this machine's.

const MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

const two = (number) => String(number).padStart(2, "0");
const ordinal = (day) => `${day}${day % 10 === 1 && day !== 11 ? "st" : day % 10 === 2 && day !== 12 ? "nd" : day % 10 === 3 && day !== 13 ? "rd" : "th"}`;
const HALF_A_YEAR_S = 182 * 86_400; // nearer than that Slack leaves the year out of {date}, {date_short} and {date_long}
const startOfDay = (date) => new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();

// "today", "yesterday", "tomorrow", or null when it is none of them.
function relativeDay(date, now_s) {
  const days = Math.round((startOfDay(date) - startOfDay(new Date(now_s * 1000))) / 86_400_000);
  return { "-1": "yesterday", 0: "today", 1: "tomorrow" }[days] ?? null;
}

function ago(at_s, now_s) {
  const seconds = Math.abs(now_s - at_s);
  const [count, unit] = seconds < 60 ? [Math.round(seconds), "second"]
    : seconds < 3600 ? [Math.round(seconds / 60), "minute"]
    : seconds < 86_400 ? [Math.round(seconds / 3600), "hour"]
    : [Math.round(seconds / 86_400), "day"];
  const words = `${count} ${unit}${count === 1 ? "" : "s"}`;
  return at_s > now_s ? `in ${words}` : `${words} ago`;
}

export function clockTime(at_s, { seconds = false } = {}) {
  const date = new Date(at_s * 1000);
  return `${two(date.getHours())}:${two(date.getMinutes())}${seconds ? `:${two(date.getSeconds())}` : ""}`;
}

export function dayDivider(at_s, now_s) {
  const date = new Date(at_s * 1000);
  const near = relativeDay(date, now_s);
  if (near) return near[0].toUpperCase() + near.slice(1);
  const year = date.getFullYear() === new Date(now_s * 1000).getFullYear() ? "" : `, ${date.getFullYear()}`;
  return `${DAYS[date.getDay()]}, ${MONTHS[date.getMonth()]} ${ordinal(date.getDate())}${year}`;
}

export function sameDay(first_s, second_s) {
  return startOfDay(new Date(first_s * 1000)) === startOfDay(new Date(second_s * 1000));
}

export function fullMoment(at_s) {
  const date = new Date(at_s * 1000);
  return `${DAYS[date.getDay()]}, ${MONTHS[date.getMonth()]} ${date.getDate()}, ${date.getFullYear()} at ${clockTime(at_s, { seconds: true })}`;
}

// Slack's date tokens (docs.slack.dev/messaging/formatting-message-text, "Date formatting", and those of the rich text element,
// docs.slack.dev/reference/block-kit/block-elements/date-element). A token that is not known stays.
export function formatSlackDate(at_s, format, now_s) {
  const date = new Date(at_s * 1000);
  const [day, month, year] = [date.getDate(), date.getMonth(), date.getFullYear()];
  const shortMonth = MONTHS[month].slice(0, 3);
  const withYear = Math.abs(now_s - at_s) < HALF_A_YEAR_S ? "" : `, ${year}`;
  const written = {
    date_num: () => `${year}-${two(month + 1)}-${two(day)}`,
    date_slash: () => `${two(day)}/${two(month + 1)}/${year}`,
    date: () => `${MONTHS[month]} ${ordinal(day)}${withYear}`,
    date_short: () => `${shortMonth} ${day}${withYear}`,
    date_long: () => `${DAYS[date.getDay()]}, ${MONTHS[month]} ${ordinal(day)}${withYear}`,
    date_long_full: () => `${MONTHS[month]} ${day}, ${year}`,
    time: () => clockTime(at_s),
    time_secs: () => clockTime(at_s, { seconds: true }),
    ago: () => ago(at_s, now_s),
    day_divider_pretty: () => dayDivider(at_s, now_s),
  };
  return format.replace(/\{([a-z_]+)\}/g, (whole, token, offset) => {
    if (token.endsWith("_pretty") && token !== "day_divider_pretty") {
      const near = relativeDay(date, now_s);
      if (near) return offset === 0 ? near[0].toUpperCase() + near.slice(1) : near;
      return written[token.slice(0, -"_pretty".length)]?.() ?? whole;
    }
    return written[token]?.() ?? whole;
  });
}
