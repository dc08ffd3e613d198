// Draws the pictures of the fleet as they come. Names and values are a device's own words: they become text, never markup.

const SVG = "http://www.w3.org/2000/svg";
const LATE = "The gateway gives no answer. What you see is as it was before.";
const LOST = "The connection to the server is lost, and is made again. What you see is as it was before.";

/** The page of one fleet: `show(picture)` draws what a picture of the server holds. */
export class Page {
  constructor(document) {
    this.document = document;
    this.root = document.getElementById("fleet");
    this.trouble = document.getElementById("trouble");
    this.cards = new Map();
  }

  show(picture) {
    this.trouble.textContent = picture.stale ? LATE : "";
    if (picture.whole) this.drop(picture.sources);
    for (const [name, source] of Object.entries(picture.sources)) this.card(name).show(source);
  }

  lost() {
    this.trouble.textContent = LOST;
  }

  drop(sources) {
    for (const [name, card] of this.cards) {
      if (!Object.hasOwn(sources, name)) {
        card.element.remove();
        this.cards.delete(name);
      }
    }
  }

  card(name) {
    if (!this.cards.has(name)) {
      const card = new Card(this.document, name);
      const later = [...this.cards.keys()].filter((other) => other > name).sort()[0];
      this.root.insertBefore(card.element, later === undefined ? null : this.cards.get(later).element);
      this.cards.set(name, card);
    }
    return this.cards.get(name);
  }
}

class Card {
  constructor(document, name) {
    this.document = document;
    this.element = document.createElement("article");
    this.state = made(document, "p", "state");
    this.table = document.createElement("table");
    this.more = made(document, "p", "state");
    this.rows = new Map();
    const title = made(document, "h2", "");
    title.textContent = name;
    this.element.append(title, this.state, this.table, this.more);
  }

  show(source) {
    this.element.className = source.online ? "online" : "";
    this.state.textContent = source.online ? "online" : `offline, last seen ${moment(source.last_seen_ms)}`;
    this.more.textContent = source.cut ? "It has more metrics, which are not shown." : "";
    for (const [name, metric] of Object.entries(source.metrics)) this.row(name).show(metric);
  }

  row(name) {
    if (!this.rows.has(name)) {
      const row = new Row(this.document, name);
      this.rows.set(name, row);
      this.table.append(row.element);
    }
    return this.rows.get(name);
  }
}

class Row {
  constructor(document, name) {
    this.element = document.createElement("tr");
    const title = made(document, "td", "name");
    title.textContent = name;
    this.value = made(document, "td", "value");
    const cell = made(document, "td", "curve");
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", "0 0 100 20");
    svg.setAttribute("preserveAspectRatio", "none");
    this.path = document.createElementNS(SVG, "path");
    svg.append(this.path);
    cell.append(svg);
    this.element.append(title, this.value, cell);
  }

  show(metric) {
    this.value.textContent = metric.value;
    this.path.setAttribute("d", curve(metric.curve));
  }
}

/** The numbers as a path of 100 by 20; a hole in them is a hole in it. */
export function curve(numbers) {
  const known = numbers.filter((number) => number !== null);
  const low = Math.min(...known);
  const span = Math.max(...known) - low;
  let path = "";
  let isDrawing = false;
  numbers.forEach((number, place) => {
    if (number !== null) {
      const x = numbers.length > 1 ? (100 * place) / (numbers.length - 1) : 0;
      const y = span > 0 && span < Infinity ? 19 - (18 * (number - low)) / span : 10;
      path += `${isDrawing ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
    }
    isDrawing = number !== null;
  });
  return path;
}

function moment(ms) {
  return ms === null ? "never" : new Date(ms).toLocaleString();
}

function made(document, tag, className) {
  const element = document.createElement(tag);
  element.className = className;
  return element;
}

/** Follow the server; a browser's EventSource connects again by itself. */
export function start(document, source) {
  const page = new Page(document);
  source.onmessage = (event) => page.show(JSON.parse(event.data));
  source.onerror = () => page.lost();
}

if (globalThis.document) start(globalThis.document, new EventSource("live"));
