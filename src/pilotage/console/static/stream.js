// What streamed pages share: the one policy that lets our own fragments in, and a reader of server-sent events.
"use strict";
window.pilotage = (() => {
  // Only fragments that this server rendered, with its own escaping, pass here.
  const policy = window.trustedTypes
    ? trustedTypes.createPolicy("pilotage", { createHTML: (text) => text })
    : { createHTML: (text) => text };

  async function* events(body) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) {
        const lines = block.split("\n");
        const event = lines.find((line) => line.startsWith("event: "));
        if (event) yield [event.slice(7), lines.filter((l) => l.startsWith("data: ")).map((l) => l.slice(6)).join("\n")];
      }
    }
  }

  return Object.freeze({ html: (text) => policy.createHTML(text), events });
})();
