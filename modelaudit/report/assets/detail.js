"use strict";
// What is known of one row. All text goes in as text.

const FATES = {
  new: "new",
  known: "known before",
  fixed: "fixed: the object is there, the finding is not",
  gone: "gone, with its object",
  open: "found before, not confirmed: the object was not looked at wholly this time",
  suppressed: "suppressed: accepted, and counted no more",
};

function badge(kind, text) {
  return element("span", text === undefined ? kind : text, "badge " + kind);
}

function entry(list, name, value, code) {
  if (value === undefined || value === null || value === "") return;
  list.append(element("dt", name));
  const said = element("dd");
  const text = element("bdi");
  if (code) text.append(element("code", String(value)));
  else text.textContent = String(value);
  said.append(text);
  list.append(said);
}

function passage(panel, title, text) {
  if (!text) return;
  panel.append(element("h4", title), element("p", text));
}

function showFinding(panel, row, facts) {
  const rule = facts.rules[row[RULE]];
  const head = element("h3");
  head.append(badge(facts.severities[row[LEVEL]]), " ", element("bdi", row[MESSAGE]));
  panel.replaceChildren(head);
  passage(panel, "Why it matters", whyOf(row, facts));
  if (rule) passage(panel, "What to do", rule[1]);
  const list = element("dl");
  entry(list, "Place", placeOf(row), true);
  entry(list, "Change", FATES[row[FATE]]);
  entry(list, "Format", row[FORMAT]);
  entry(list, "Rule", rule ? row[RULE] + ": " + rule[0] : row[RULE]);
  if (rule) entry(list, "See", rule[2].join(", "));
  entry(list, "Finding", row[ID], true);
  panel.append(list);
  const details = row[DETAILS];
  const bars = histogram(details);
  if (bars) panel.append(element("h4", "How the weights are spread"), bars);
  const rest = element("dl");
  for (const name of Object.keys(details)) {
    if (bars && name.startsWith("histogram")) continue;
    const value = details[name];
    entry(rest, name, Array.isArray(value) ? value.join(", ") : value, true);
  }
  if (rest.children.length) panel.append(element("h4", "Evidence"), rest);
}

function showObject(panel, row, facts, browse) {
  const head = element("h3");
  head.append(element("bdi", row[O_URI]));
  panel.replaceChildren(head);
  const list = element("dl");
  entry(list, "Status", row[O_STATUS] + (row[O_INCOMPLETE] ? ", not looked at wholly" : ""));
  entry(list, "Reason", row[O_REASON]);
  entry(list, "Formats", row[O_FORMATS]);
  entry(list, "Size", row[O_SIZE] === null ? "unknown" : row[O_SIZE].toLocaleString("en") + " bytes");
  entry(list, "Change", row[O_CHANGE]);
  entry(list, "SHA-256", row[O_SHA256], true);
  entry(list, "Findings", row[O_COUNT].toLocaleString("en"));
  panel.append(list);
  if (row[O_COUNT]) {
    const button = element("button", "Show its findings");
    button.type = "button";
    button.addEventListener("click", () => browse({ uri: row[O_URI] }));
    panel.append(button);
  }
}

// Bars on a logarithmic scale: what stands out is single and must be seen.
function histogram(details) {
  const low = details.histogram_from;
  const high = details.histogram_to;
  if (!Array.isArray(details.histogram) || typeof low !== "number" || typeof high !== "number") return null;
  const counts = details.histogram.slice(0, 64).map(Number);
  if (!counts.length || !counts.every((count) => count >= 0 && Number.isFinite(count))) return null;
  const most = Math.log1p(Math.max(...counts, 1));
  const drawing = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  drawing.setAttribute("viewBox", "0 0 " + counts.length * 10 + " 100");
  drawing.setAttribute("preserveAspectRatio", "none");
  drawing.setAttribute("role", "img");
  drawing.setAttribute("aria-label", "Counts from " + low + " to " + high + ": " + counts.join(", "));
  drawing.setAttribute("class", "histogram");
  counts.forEach((count, at) => {
    const height = count ? Math.max(4, (100 * Math.log1p(count)) / most) : 0;
    const bar = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    const shape = { x: at * 10 + 1, y: 100 - height, width: 8, height };
    for (const name of Object.keys(shape)) bar.setAttribute(name, shape[name]);
    drawing.append(bar);
  });
  const scale = element("p", undefined, "scale");
  scale.append(element("span", String(low)), element("span", "count, logarithmic"), element("span", String(high)));
  const figure = element("figure");
  figure.append(drawing, scale);
  return figure;
}
