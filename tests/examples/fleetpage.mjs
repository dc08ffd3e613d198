// The fleet page's script over a document that only knows what the script may use: there is no way to set markup.
//   node fleetpage.mjs SCRIPT < pictures, one JSON a line        prints the document after each
//   node --experimental-eventsource fleetpage.mjs SCRIPT URL     follows a server, and prints it after each picture
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

class Element {
  constructor(tag) {
    this.tag = tag;
    this.attributes = {};
    this.children = [];
    this.parent = null;
    this.text = "";
    this.className = "";
    return new Proxy(this, { set: known });
  }

  get textContent() { return this.text; }
  set textContent(text) { this.text = String(text); }
  setAttribute(name, value) { this.attributes[name] = String(value); }
  append(...children) { children.forEach((child) => this.insertBefore(child, null)); }

  insertBefore(child, next) {
    child.parent = this;
    this.children.splice(next === null ? this.children.length : this.children.indexOf(next), 0, child);
  }

  remove() { this.parent.children = this.parent.children.filter((child) => child !== this); }

  toJSON() {
    const { tag, attributes, className, text, children } = this;
    return { tag, attributes, className, text, children };
  }
}

function known(element, name, value) {
  const names = ["tag", "attributes", "children", "parent", "text", "className", "textContent"];
  if (!names.includes(name)) throw new Error(`the page's script sets ${name}, which this document does not know`);
  element[name] = value;
  return true;
}

const parts = { fleet: new Element("main"), trouble: new Element("p") };
const page = {
  getElementById: (id) => parts[id],
  createElement: (tag) => new Element(tag),
  createElementNS: (_namespace, tag) => new Element(tag),
};

const { start } = await import(pathToFileURL(process.argv[2]));
const print = () => console.log(JSON.stringify(parts));

if (process.argv[3]) {
  const source = new EventSource(process.argv[3]);
  start(page, source);
  source.addEventListener("message", print);
  source.addEventListener("error", print);
} else {
  const source = {};
  start(page, source);
  for (const line of readFileSync(0, "utf8").split("\n").filter(Boolean)) {
    if (line === "lost") source.onerror({});
    else source.onmessage({ data: line });
    print();
  }
}
