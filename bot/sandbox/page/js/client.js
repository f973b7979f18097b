// What a person does in the page, each as one call to the control API. Errors become words where Slack would show them.

import { post } from "./api.js";
import { HANDLERS } from "./events.js";
import { placed } from "./lists.js";
import { Workspace } from "./workspace.js";

export class Client extends Workspace {
  // A line from Slackbot that only this window shows, as Slack reports a command that failed.
  slackbot(channel, text) {
    const list = this.state.lists.get(channel);
    this.setList(channel, { items: placed(list?.items ?? [], { ts: this.now_s().toFixed(6), user: "USLACKBOT", text, ephemeral: true, local: true }) });
  }

  // True when it went out; false leaves the words in the composer.
  async say(channel, text, thread_ts = null) {
    try {
      if (text.startsWith("/")) {
        if (thread_ts) {
          this.slackbot(channel, `\`${text.split(/\s/)[0]}\` is not supported in threads. Sorry!`);
          this.note("Slash commands do not work in threads.");
          return false;
        }
        return await this.command(channel, text);
      }
      await post("say", { user: this.state.me, channel, text, ...(thread_ts ? { thread_ts } : {}) });
      return true;
    } catch (error) {
      this.note(`Not sent: ${error.message}`);
      return false;
    }
  }

  async command(channel, line) {
    const [command] = line.split(/\s/, 1);
    if (!this.state.commands.some((known) => known.command === command)) {
      this.slackbot(channel, `\`${command}\` is not a valid command. In Slack, you can send messages that start with a slash by putting a space in front.`);
      return false;
    }
    const answer = await post("command", { user: this.state.me, channel, command, text: line.slice(command.length).trim() });
    if (answer.error) this.slackbot(channel, `\`${command}\` ${answer.error}`);
    return true;
  }

  // For interactions: null when the bot took it, otherwise the words that Slack shows beside the control.
  async interact(path, body) {
    try {
      const answer = await post(path, { user: this.state.me, ...body });
      return answer.ok === false ? answer.error ?? "This app responded with an error." : null;
    } catch (error) {
      return error.message;
    }
  }

  click(message, channel, blockId, element, payload) {
    return this.interact("click", { channel, message_ts: message.ts, block_id: blockId, action_id: element.action_id, ...payload });
  }

  viewAction(view, blockId, element, payload, values) {
    return this.interact("view/action", { view_id: view.id, block_id: blockId, action_id: element.action_id, ...payload, values });
  }

  // {errors} beside the fields, {trouble} for the whole form, or {} when it was taken.
  async submitView(view, values) {
    try {
      const answer = await post("view/submit", { user: this.state.me, view_id: view.id, values });
      if (answer.errors) return { errors: answer.errors };
      if (answer.ok === false) return { trouble: answer.error ?? "We had some trouble connecting. Try again?" };
      return {};
    } catch (error) {
      return { trouble: `We had some trouble connecting. Try again? (${error.message})` };
    }
  }

  // `clear` closes the whole stack, as the × does; the other button closes the topmost form.
  async closeView(view, { clear = false } = {}) {
    this.setViews(clear ? [] : this.state.views.filter((held) => held.id !== view.id));
    const failed = await this.interact("view/close", { view_id: view.id, clear });
    if (failed) this.note(failed);
  }

  // The app's Home tab; an app that has one hears that it is looked at.
  async openHome() {
    this.go({ home: "1", thread: null });
    if (!this.state.homeTab) return;
    const failed = await this.interact("home", {});
    if (failed) this.note(failed);
  }

  async react(message, channel, name) {
    const mine = message.reactions?.some((reaction) => reaction.name === name && reaction.users?.includes(this.state.me));
    const failed = await this.interact("react", { channel, message_ts: message.ts, name, remove: Boolean(mine) });
    if (failed) this.note(failed);
  }

  async shortcut(shortcut, where = {}) {
    const failed = await this.interact("shortcut", { callback_id: shortcut.callback_id, ...where });
    if (failed) this.note(`“${shortcut.name}”: ${failed}`);
  }

  async membership(path, body) {
    const failed = await this.interact(path, body);
    if (failed) this.note(failed);
  }

  async setSwitch(name, value) {
    this.set({ switches: { ...this.state.switches, [name]: { ...this.state.switches[name], value } } });
    try {
      await post("world", { switch: name, value }); // the stream tells how all of them are then, in the order of what was done
    } catch (error) {
      this.note(error.message);
      this.loadWorld();
    }
  }

  // What somebody does with a phone: answer, decline, voicemail, or press a key.
  async phone(sid, act, key) {
    try {
      const { heard, paging } = await post("phone", { sid, act, ...(key ? { key } : {}) });
      this.set({ paging });
      if (!heard) this.note("The call is not listening for a key.");
    } catch (error) {
      this.note(error.message);
    }
  }

  async pagerduty(key, act) {
    try {
      const { paging } = await post("pagerduty", { key, act });
      this.set({ paging });
    } catch (error) {
      this.note(error.message);
    }
  }

  // `act` is play or stop.
  async playNight(act, stop_when_ringing) {
    try {
      const { night } = await post("night", { act, stop_when_ringing });
      this.set({ night });
    } catch (error) {
      this.note(error.message);
    }
  }

  async advance(advance_s) {
    try {
      const { now } = await post("clock", { advance_s });
      HANDLERS.clock(this, { now });
    } catch (error) {
      this.note(error.message);
    }
  }
}
