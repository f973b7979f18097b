// Emoji shortcodes as unicode: what Slack calls each of the common ones. Used by mrkdwn.js and blocks.js.
// A name that is not here stays as :name:, which is also what Slack does with one that it does not know.

const TABLE = `
smile 😄|smiley 😃|grinning 😀|grin 😁|joy 😂|rofl 🤣|slightly_smiling_face 🙂|wink 😉|blush 😊|sunglasses 😎|thinking_face 🤔|neutral_face 😐
confused 😕|worried 😟|cry 😢|sob 😭|angry 😠|rage 😡|scream 😱|sweat_smile 😅|sweat 😓|sleeping 😴|zzz 💤|partying_face 🥳|saluting_face 🫡|nerd_face 🤓
robot_face 🤖|ghost 👻|skull 💀|alien 👽|see_no_evil 🙈|hear_no_evil 🙉|speak_no_evil 🙊|facepalm 🤦|shrug 🤷|raised_hands 🙌|clap 👏|pray 🙏
+1 👍|thumbsup 👍|-1 👎|thumbsdown 👎|ok_hand 👌|wave 👋|point_right 👉|point_left 👈|point_up 👆|point_down 👇|raised_hand ✋|hand ✋|muscle 💪|eyes 👀
bust_in_silhouette 👤|busts_in_silhouette 👥|technologist 🧑‍💻|firefighter 🧑‍🚒|detective 🕵️|cop 👮|runner 🏃
heart ❤️|broken_heart 💔|100 💯|fire 🔥|boom 💥|collision 💥|sparkles ✨|star ⭐|zap ⚡|rainbow 🌈|sunny ☀️|cloud ☁️|snowflake ❄️|droplet 💧|ocean 🌊|umbrella ☔
white_check_mark ✅|heavy_check_mark ✔️|ballot_box_with_check ☑️|x ❌|negative_squared_cross_mark ❎|warning ⚠️|no_entry ⛔|no_entry_sign 🚫|octagonal_sign 🛑|stop_sign 🛑
exclamation ❗|heavy_exclamation_mark ❗|bangbang ‼️|question ❓|grey_question ❔|grey_exclamation ❕|information_source ℹ️|sos 🆘|radioactive_sign ☢️
red_circle 🔴|large_orange_circle 🟠|large_yellow_circle 🟡|large_green_circle 🟢|large_blue_circle 🔵|large_purple_circle 🟣|white_circle ⚪|black_circle ⚫|radio_button 🔘
red_square 🟥|large_red_square 🟥|large_orange_square 🟧|large_yellow_square 🟨|large_green_square 🟩|large_blue_square 🟦|white_large_square ⬜|black_large_square ⬛|white_medium_square ◻️|black_square_button 🔲|white_square_button 🔳
rotating_light 🚨|bell 🔔|no_bell 🔕|mega 📣|loudspeaker 📢|speech_balloon 💬|thought_balloon 💭|telephone_receiver 📞|phone ☎️|telephone ☎️|iphone 📱|pager 📟|email 📧|envelope ✉️|incoming_envelope 📨|inbox_tray 📥|outbox_tray 📤
lock 🔒|unlock 🔓|closed_lock_with_key 🔐|key 🔑|shield 🛡️|mag 🔍|mag_right 🔎|link 🔗|paperclip 📎|pushpin 📌|round_pushpin 📍|bookmark 🔖|label 🏷️
memo 📝|pencil 📝|pencil2 ✏️|clipboard 📋|page_facing_up 📄|page_with_curl 📃|book 📖|books 📚|notebook 📓|scroll 📜|newspaper 📰|file_folder 📁|open_file_folder 📂|card_index_dividers 🗂️|package 📦|wastebasket 🗑️
bar_chart 📊|chart_with_upwards_trend 📈|chart_with_downwards_trend 📉|calendar 📆|date 📅|spiral_calendar_pad 🗓️|alarm_clock ⏰|stopwatch ⏱️|timer_clock ⏲️|hourglass ⌛|hourglass_flowing_sand ⏳|watch ⌚
gear ⚙️|wrench 🔧|hammer 🔨|hammer_and_wrench 🛠️|nut_and_bolt 🔩|toolbox 🧰|electric_plug 🔌|bulb 💡|battery 🔋|computer 💻|desktop_computer 🖥️|floppy_disk 💾|satellite_antenna 📡|microscope 🔬|test_tube 🧪|ambulance 🚑|fire_engine 🚒|adhesive_bandage 🩹
rocket 🚀|construction 🚧|checkered_flag 🏁|triangular_flag_on_post 🚩|white_flag 🏳️|trophy 🏆|tada 🎉|confetti_ball 🎊|dart 🎯|game_die 🎲|art 🎨|movie_camera 🎥|coffee ☕|pizza 🍕|beers 🍻|cake 🎂
arrow_right ➡️|arrow_left ⬅️|arrow_up ⬆️|arrow_down ⬇️|arrow_upper_right ↗️|arrow_right_hook ↪️|leftwards_arrow_with_hook ↩️|arrows_counterclockwise 🔄|repeat 🔁|arrow_forward ▶️|double_vertical_bar ⏸️|black_square_for_stop ⏹️|fast_forward ⏩|rewind ⏪|black_right_pointing_double_triangle_with_vertical_bar ⏭️|soon 🔜|new 🆕|ok 🆗|up 🆙|free 🆓|cool 🆒
heavy_plus_sign ➕|heavy_minus_sign ➖|heavy_multiplication_x ✖️|small_red_triangle 🔺|small_red_triangle_down 🔻|small_blue_diamond 🔹|small_orange_diamond 🔸|large_blue_diamond 🔷
zero 0️⃣|one 1️⃣|two 2️⃣|three 3️⃣|four 4️⃣|five 5️⃣|six 6️⃣|seven 7️⃣|eight 8️⃣|nine 9️⃣|keycap_ten 🔟|hash #️⃣
house 🏠|office 🏢|hospital 🏥|bank 🏦|factory 🏭|earth_africa 🌍|earth_americas 🌎|globe_with_meridians 🌐|moon 🌙|bug 🐛|ant 🐜|turtle 🐢|snail 🐌|dog 🐶|cat 🐱|whale 🐳|unicorn_face 🦄|parrot 🦜
`;

export const EMOJI = new Map(
  TABLE.trim().split(/[|\n]/).map((pair) => {
    const space = pair.indexOf(" ");
    return [pair.slice(0, space), pair.slice(space + 1)];
  }),
);

// ":rotating_light:" -> "🚨"; names that are not known stay as they are. A skin tone after the name is dropped.
export function withEmoji(text) {
  return text.replace(/:([a-z0-9_+-]+):(?::skin-tone-\d:)?/g, (whole, name) => EMOJI.get(name) ?? whole);
}
