// Where Block Kit elements live: the values that a person has chosen so far, and what became of their clicks. For messages.js and views.js.

import { useMemo, useRef, useState } from "./vendor/htm-preact-standalone.js";
import { actionKey, initialValue } from "./elements.js";

// kind "message": an element whose first value changes with an edit of the message starts anew. kind "modal" and "home": what was
// typed outlives an update of the view as long as block_id and action_id stay, as in Slack; `kept` brings values back after a reload.
// send(blockId, element, payload, values) -> words of failure or null.
export function useSurface({ id, kind, scope, blocks, send, errors, kept, onValues, currentChannel }) {
  const [values, setValues] = useState(kept ?? {});
  const [failed, setFailed] = useState(new Map());
  const latest = useRef(values);
  const place = (blockId, element) => (kind !== "message" ? actionKey(blockId, element) : `${actionKey(blockId, element)} ${JSON.stringify(initialValue(element))}`);
  const inputs = useMemo(() => new Map(blocks.filter((block) => block.type === "input").map((block) => [block.block_id, block])), [blocks]);
  const value = (blockId, element) => latest.current[place(blockId, element)] ?? initialValue(element, currentChannel);
  return {
    id, kind, scope, failed, errors, value,
    setValue(blockId, element, next) {
      latest.current = { ...latest.current, [place(blockId, element)]: next };
      setValues(latest.current);
      onValues?.(latest.current);
    },
    // An input block keeps its value for the submit, unless it says dispatch_action.
    dispatches: (blockId) => !inputs.has(blockId) || Boolean(inputs.get(blockId).dispatch_action),
    async act(blockId, element, payload) {
      const words = await send(blockId, element, payload, value);
      setFailed((before) => {
        const after = new Map(before);
        if (words) after.set(actionKey(blockId, element), words);
        else after.delete(actionKey(blockId, element));
        return after;
      });
    },
  };
}
