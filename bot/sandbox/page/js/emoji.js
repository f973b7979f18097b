// Emoji by Slack's short names. Used by mrkdwn.js, blocks.js, messages.js and composer.js. The names are those of a kept list
// (vendor/emoji-iamcal.json, see LICENSES), which is the one that Slack's own are from.
// A name that is not there stays as :name:, which is also what Slack does with one that it does not know.

// Names that people and apps write and that the list has under another one.
const ALSO = { rofl: "rolling_on_the_floor_laughing", facepalm: "face_palm", detective: "sleuth_or_spy", stop_sign: "octagonal_sign", red_square: "large_red_square", white_flag: "waving_white_flag", thinking: "thinking_face" };

// "26A0" -> "⚠️": a sign that would be drawn as text by itself gets the selector that makes it a picture.
function drawn(hexcode) {
  const points = hexcode.split("-").map((hex) => parseInt(hex, 16));
  return points.map((point, index) => {
    const char = String.fromCodePoint(point);
    const asText = point > 0xff && /^\p{Emoji}$/u.test(char) && !/^\p{Emoji_Presentation}$/u.test(char);
    return asText && points[index + 1] !== 0xfe0f ? `${char}\ufe0f` : char;
  }).join("");
}

async function load() {
  const known = new Map();
  try {
    const answer = await fetch(new URL("./vendor/emoji-iamcal.json", import.meta.url));
    for (const [hexcode, names] of Object.entries(await answer.json())) {
      for (const name of [names].flat()) known.set(name, drawn(hexcode));
    }
  } catch (error) {
    console.warn("The names of emoji could not be loaded; they are shown as :name:", error);
  }
  for (const [name, listed] of Object.entries(ALSO)) {
    if (known.has(listed)) known.set(name, known.get(listed));
  }
  return known;
}

export const EMOJI = await load();

// One emoji; `tone` is 2 to 6, Slack's number of a skin colour. null for a name that nobody knows.
export function emoji(name, tone = null) {
  const plain = EMOJI.get(name);
  if (!plain || !tone) return plain ?? null;
  const [first, ...rest] = plain.replace("\ufe0f", "");
  return /^\p{Emoji_Modifier_Base}$/u.test(first) ? first + String.fromCodePoint(0x1f3f9 + Number(tone)) + rest.join("") : plain;
}

// ":rotating_light:" -> "🚨", ":wave::skin-tone-3:" -> "👋🏼"; names that are not known stay as they are.
export function withEmoji(text) {
  if (!text.includes(":")) return text;
  return text.replace(/:([a-z0-9_+'-]+):(?::skin-tone-([2-6]):)?/g, (whole, name, tone) => emoji(name, tone) ?? whole);
}
