"use strict";
// A table of any length of which only the rows in sight exist. All text goes in as text.

const ROW = 34; // pixels a row; page.css says the same
const AROUND = 8; // rows kept above and below those in sight
const PRINTED = 500; // rows that are put on paper

function element(name, text, kind) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

class Grid {
  // `columns`: {title, fill(cell, row), key(row)}; `chosen(row, jump)` hears which row is active.
  constructor(root, columns, rows, chosen) {
    this.root = root;
    this.columns = columns;
    this.rows = rows;
    this.chosen = chosen;
    this.order = []; // indexes into rows, as shown
    this.active = -1; // index into order
    this.sorted = null; // [column, ascending]
    this.head = element("div", undefined, "row head");
    this.head.setAttribute("role", "row");
    this.head.setAttribute("aria-rowindex", "1");
    this.body = element("div", undefined, "body");
    this.body.setAttribute("role", "rowgroup");
    this.slots = [];
    columns.forEach((column, at) => this.head.append(this.heading(column, at)));
    root.setAttribute("aria-colcount", columns.length);
    root.replaceChildren(this.head, this.body);
    this.stop = new AbortController();
    const signal = this.stop.signal;
    root.addEventListener("scroll", () => this.soon(), { signal, passive: true });
    root.addEventListener("keydown", (event) => this.key(event), { signal });
    this.body.addEventListener("click", (event) => this.click(event), { signal });
    window.addEventListener("resize", () => this.soon(), { signal });
  }

  close() {
    this.stop.abort();
  }

  heading(column, at) {
    const cell = element("div", undefined, "cell");
    cell.setAttribute("role", "columnheader");
    const button = element("button", column.title);
    button.type = "button";
    button.addEventListener("click", () => this.sort(at));
    cell.append(button);
    return cell;
  }

  sort(at) {
    const ascending = this.sorted !== null && this.sorted[0] === at ? !this.sorted[1] : true;
    this.sorted = [at, ascending];
    [...this.head.children].forEach((cell, number) => {
      cell.setAttribute("aria-sort", number !== at ? "none" : ascending ? "ascending" : "descending");
    });
    this.show(this.order, true);
  }

  // Show the rows `order` (indexes), sorted as the head says; what is active stays so if it is still there.
  show(order, keep) {
    const held = keep && this.active >= 0 ? this.order[this.active] : -1;
    this.order = this.sorted === null ? order : this.arranged(order);
    this.root.setAttribute("aria-rowcount", this.order.length + 1);
    this.body.style.height = this.order.length * ROW + "px";
    this.active = held < 0 ? -1 : this.order.indexOf(held);
    if (this.active < 0) {
      this.root.scrollTop = 0;
      this.root.removeAttribute("aria-activedescendant");
    } else this.reveal();
    this.render();
  }

  arranged(order) {
    const [at, ascending] = this.sorted;
    const key = this.columns[at].key;
    const keys = new Map();
    for (const index of order) keys.set(index, key(this.rows[index]));
    const way = ascending ? 1 : -1;
    return Array.from(order).sort((left, right) => {
      const one = keys.get(left);
      const two = keys.get(right);
      return one < two ? -way : one > two ? way : left - right;
    });
  }

  soon() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      if (!this.stop.signal.aborted) this.render();
    });
  }

  render() {
    const first = Math.max(0, Math.floor(this.root.scrollTop / ROW) - AROUND);
    const count = Math.ceil(this.root.clientHeight / ROW) + 2 * AROUND;
    const last = Math.min(this.order.length, first + count);
    while (this.slots.length < last - first) this.slots.push(this.slot());
    this.slots.forEach((slot, number) => {
      const at = first + number;
      if (at >= last) slot.remove();
      else {
        if (!slot.isConnected) this.body.append(slot);
        this.fill(slot, at);
      }
    });
  }

  slot() {
    const slot = element("div", undefined, "row");
    slot.setAttribute("role", "row");
    for (let at = 0; at < this.columns.length; at++) {
      const cell = element("div", undefined, "cell");
      cell.setAttribute("role", "gridcell");
      slot.append(cell);
    }
    return slot;
  }

  fill(slot, at) {
    const row = this.rows[this.order[at]];
    slot.id = "row-" + at;
    slot.dataset.at = at;
    slot.style.transform = "translateY(" + at * ROW + "px)";
    slot.setAttribute("aria-rowindex", at + 2);
    slot.setAttribute("aria-selected", at === this.active);
    slot.classList.toggle("odd", at % 2 === 1);
    this.columns.forEach((column, number) => column.fill(slot.children[number], row));
  }

  click(event) {
    const slot = event.target.closest(".row");
    if (slot) this.choose(Number(slot.dataset.at));
  }

  key(event) {
    if (event.target !== this.root || event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, Math.floor(this.root.clientHeight / ROW) - 2);
    const end = this.order.length - 1;
    const to = {
      ArrowDown: this.active + 1,
      ArrowUp: this.active - 1,
      PageDown: this.active + page,
      PageUp: this.active - page,
      Home: 0,
      End: end,
      Enter: this.active,
    }[event.key];
    if (to === undefined || end < 0) return;
    event.preventDefault();
    this.choose(Math.min(end, Math.max(0, to)), event.key === "Enter");
  }

  choose(at, jump) {
    this.active = at;
    this.reveal();
    this.render();
    this.root.setAttribute("aria-activedescendant", "row-" + at);
    this.chosen(this.rows[this.order[at]], jump === true);
  }

  reveal() {
    const top = this.active * ROW;
    const room = this.root.clientHeight - 2 * ROW;
    if (top < this.root.scrollTop) this.root.scrollTop = top;
    else if (top > this.root.scrollTop + room) this.root.scrollTop = top - room;
  }

  // The rows that are shown, as many as are printed, as plain blocks.
  printed() {
    return this.order.slice(0, PRINTED).map((_, at) => {
      const slot = this.slot();
      const row = this.rows[this.order[at]];
      this.columns.forEach((column, number) => column.fill(slot.children[number], row));
      return slot;
    });
  }
}
