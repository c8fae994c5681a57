"use strict";
// The tables: what is shown, and how people say what they want to see.

const [LEVEL, FATE, RULE, URI, PLACE, MESSAGE, FORMAT, SOURCE, WHY, DETAILS, ID] = Array(11).keys();
const [O_LEVEL, O_STATUS, O_INCOMPLETE, O_URI, O_FORMATS, O_SIZE, O_COUNT, O_REASON, O_CHANGE, O_SHA256, O_SOURCE] =
  Array(11).keys();

function whyOf(row, facts) {
  return typeof row[WHY] === "number" ? facts.whys[row[WHY]] : row[WHY];
}

function placeOf(row) {
  const rest = row[PLACE].slice(1);
  return row[PLACE][0] === "=" ? rest : row[URI] + rest;
}

// The end of an address says more than its beginning, which all rows share.
function tail(text) {
  return text.length > 34 ? "…" + text.slice(-33) : text;
}

function begin() {
  const { facts, findings, objects } = JSON.parse(document.getElementById("data").textContent);
  const fated = facts.compared || findings.some((row) => row[FATE]); // suppressed ones have one in any run
  const get = (id) => document.getElementById(id);
  const titled = (row) => (facts.rules[row[RULE]] ? facts.rules[row[RULE]][0] : row[RULE]);
  const say = (read) => (cell, row) => {
    cell.textContent = cell.title = read(row);
  };
  const ending = (read) => (cell, row) => {
    cell.title = read(row);
    cell.textContent = tail(cell.title);
  };
  const level = (at) => (cell, row) => {
    const name = row[at] < 0 ? "" : facts.severities[row[at]];
    cell.replaceChildren(name ? badge(name) : "");
  };
  const by = (at) => (row) => (typeof row[at] === "string" ? row[at].toLowerCase() : row[at]);
  const fate = (cell, row) => cell.replaceChildren(row[FATE] ? badge(row[FATE]) : "");
  const views = {
    findings: {
      rows: findings,
      columns: [
        { title: "Severity", fill: level(LEVEL), key: by(LEVEL) },
        ...(fated ? [{ title: "Change", fill: fate, key: by(FATE) }] : []),
        { title: "Rule", fill: say(titled), key: (row) => titled(row).toLowerCase() },
        { title: "Message", fill: say((row) => row[MESSAGE]), key: by(MESSAGE) },
        { title: "Place", fill: ending(placeOf), key: (row) => placeOf(row).toLowerCase() },
        { title: "Format", fill: say((row) => row[FORMAT]), key: by(FORMAT) },
      ],
      words: (row) => [placeOf(row), row[MESSAGE], row[RULE], titled(row), row[FORMAT], row[ID]],
    },
    objects: {
      rows: objects,
      columns: [
        { title: "Worst", fill: level(O_LEVEL), key: (row) => (row[O_LEVEL] < 0 ? 9 : row[O_LEVEL]) },
        { title: "Status", fill: say((row) => row[O_STATUS]), key: by(O_STATUS) },
        { title: "Object", fill: say((row) => row[O_URI]), key: by(O_URI) },
        { title: "Formats", fill: say((row) => row[O_FORMATS]), key: by(O_FORMATS) },
        { title: "Bytes", fill: say((row) => (row[O_SIZE] === null ? "?" : row[O_SIZE].toLocaleString("en"))), key: by(O_SIZE) },
        { title: "Findings", fill: say((row) => row[O_COUNT].toLocaleString("en")), key: by(O_COUNT) },
        { title: "Reason", fill: say((row) => row[O_REASON]), key: by(O_REASON) },
      ],
      words: (row) => [row[O_URI], row[O_STATUS], row[O_FORMATS], row[O_REASON], row[O_SHA256] || ""],
    },
  };
  let view = "findings";
  let grid = null;
  let pinned = {}; // rule or uri, chosen elsewhere than in the controls

  function offer(select, values) {
    for (const value of [...new Set(values)].filter(Boolean).sort()) select.append(new Option(value, value));
  }

  function wanted() {
    const levels = new Set([...get("levels").querySelectorAll("input:checked")].map((box) => Number(box.value)));
    const terms = get("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const source = get("source").value;
    if (view === "objects") {
      const status = get("status").value;
      return [
        terms,
        (row) =>
          (row[O_LEVEL] < 0 ? levels.size === facts.severities.length : levels.has(row[O_LEVEL])) &&
          (!status || (status === "incomplete" ? row[O_INCOMPLETE] : row[O_STATUS] === status)) &&
          (!source || row[O_SOURCE] === source) &&
          (!pinned.uri || row[O_URI] === pinned.uri),
      ];
    }
    const format = get("format").value;
    const fates = { now: ["new", "known", ""], "": null }[get("fate").value];
    const asked = fates === undefined ? [get("fate").value] : fates;
    return [
      terms,
      (row) =>
        levels.has(row[LEVEL]) &&
        (!asked || asked.includes(row[FATE])) &&
        (!format || row[FORMAT] === format) &&
        (!source || row[SOURCE] === source) &&
        (!pinned.rule || row[RULE] === pinned.rule) &&
        (!pinned.uri || row[URI] === pinned.uri),
    ];
  }

  function filter() {
    const { rows, words } = views[view];
    const [terms, fits] = wanted();
    if (terms.length && !views[view].texts) {
      views[view].texts = rows.map((row) => words(row).join("\n").toLowerCase());
    }
    const texts = views[view].texts;
    const order = [];
    for (let at = 0; at < rows.length; at++) {
      if (fits(rows[at]) && terms.every((term) => texts[at].includes(term))) order.push(at);
    }
    grid.show(order, true);
    if (grid.active < 0) empty();
    const all = rows.length.toLocaleString("en");
    get("count").textContent = order.length.toLocaleString("en") + " of " + all + " " + view;
  }

  function empty() {
    get("detail").replaceChildren(element("p", "Choose a row to see all of it.", "hint"));
  }

  function chosen(row, jump) {
    if (view === "findings") showFinding(get("detail"), row, facts);
    else showObject(get("detail"), row, facts, pin);
    if (jump) get("detail").focus();
  }

  function pin(what) {
    get("controls").reset();
    pinned = what;
    open("findings");
    get("browse").scrollIntoView();
    get("grid").focus({ preventScroll: true });
  }

  function chips() {
    const made = Object.keys(pinned).map((name) => {
      const button = element("button", name + ": " + pinned[name] + " ×", "chip");
      button.type = "button";
      button.setAttribute("aria-label", "No longer only " + name + " " + pinned[name]);
      button.addEventListener("click", () => {
        pinned = {};
        open(view);
      });
      return button;
    });
    get("chips").replaceChildren(...made);
  }

  function open(name) {
    view = name;
    if (grid) grid.close();
    const root = get("grid");
    root.className = name + (fated ? " compared" : "");
    root.setAttribute("aria-label", name === "findings" ? "Findings" : "Objects");
    for (const other of Object.keys(views)) get("view-" + other).setAttribute("aria-pressed", other === name);
    get("fate-label").hidden = name !== "findings" || !fated;
    get("format-label").hidden = name !== "findings";
    get("status-label").hidden = name !== "objects";
    chips();
    grid = new Grid(root, views[name].columns, views[name].rows, chosen);
    filter();
  }

  facts.severities.forEach((name, number) => {
    const label = element("label");
    const box = element("input");
    box.type = "checkbox";
    box.value = number;
    box.defaultChecked = true;
    label.append(box, badge(name));
    get("levels").append(label);
  });
  offer(get("format"), findings.map((row) => row[FORMAT]));
  offer(get("source"), objects.map((row) => row[O_SOURCE]));
  for (const id of document.querySelectorAll("[data-rule]")) {
    const button = element("button", "Show them", "link");
    button.type = "button";
    button.addEventListener("click", () => pin({ rule: id.dataset.rule }));
    id.after(" ", button);
  }
  let later = 0;
  get("controls").addEventListener("input", () => {
    cancelAnimationFrame(later);
    later = requestAnimationFrame(filter);
  });
  get("controls").addEventListener("submit", (event) => event.preventDefault());
  get("controls").addEventListener("reset", () => {
    pinned = {};
    setTimeout(() => open(view), 0);
  });
  get("view-findings").addEventListener("click", () => open("findings"));
  get("view-objects").addEventListener("click", () => open("objects"));
  get("detail").addEventListener("keydown", (event) => {
    if (event.key === "Escape") get("grid").focus();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
    event.preventDefault();
    get("search").focus();
  });
  window.addEventListener("beforeprint", () => {
    const rows = grid.printed();
    const left = grid.order.length - rows.length;
    get("printed").className = get("grid").className;
    get("printed").replaceChildren(grid.head.cloneNode(true), ...rows);
    if (left > 0) get("printed").append(element("p", "and " + left.toLocaleString("en") + " more rows"));
  });
  window.addEventListener("afterprint", () => get("printed").replaceChildren());
  get("tables").hidden = false;
  open(findings.length ? "findings" : "objects");
}

begin();
