/** Puts a viewer into the page's element and keeps it there while the page's script runs again and again. */

import { Api } from "./api.js";
import { element } from "./dom.js";
import { probe } from "./probe.js";
import { SlideStage } from "./slide.js";
import { Stage } from "./stage.js";

/** The viewer of a root element; it lives as long as the element does. */
const MOUNTED = new WeakMap();

/**
 * Called by the page whenever its data changed.
 * @param {{parentElement: ParentNode, data: Object, setTriggerValue: (name: string, value: unknown) => void}} component
 * @returns {() => void} takes the viewer away
 */
export function mount({ parentElement, data, setTriggerValue }) {
  const root = parentElement.querySelector(".denselens-viewer");
  let viewer = MOUNTED.get(root);
  if (viewer && viewer.base !== data.base) {
    viewer.close();
    viewer = undefined;
  }
  if (!viewer) {
    viewer = new Viewer(root, data);
    MOUNTED.set(root, viewer);
  }
  viewer.trigger = setTriggerValue;
  viewer.take(data);
  return () => {
    viewer.close();
    MOUNTED.delete(root);
  };
}

class Viewer {
  constructor(root, data) {
    this.root = root;
    this.base = data.base;
    this.data = { ...data, focus: null };
    this.trigger = () => {};
    this.api = new Api(data.base, data.token);
    this.asked = false;
    this.api.denied = (refusal) => this.#denied(refusal);
    this.api.accepted = () => (this.asked = false);
    const place = element("div", { class: "viewer" });
    root.replaceChildren(place);
    const events = {
      focused: (finding) => this.trigger("focused", finding),
      saved: (mask) => this.trigger("mask_saved", mask),
    };
    this.stage = new (data.view.kind === "slide" ? SlideStage : Stage)(place, data, this.api, events);
    root.denselens = probe(this.stage);
  }

  /** What is new in the page's data. */
  take(data) {
    const before = this.data;
    this.data = data;
    if (data.token !== before.token) {
      this.api.token = data.token;
      if (this.asked) this.stage.load();
    }
    if (data.focus && data.focus.sequence !== before.focus?.sequence) this.stage.focus(data.focus.finding);
    if (data.mask !== before.mask) this.stage.showMask?.(data.mask);
  }

  /** Asks the page for a new token, once until one is accepted: who has no right to the case is refused again. */
  #denied(refusal) {
    if (this.asked) return;
    this.asked = true;
    this.trigger("failed", refusal.message);
  }

  close() {
    this.stage.close();
    this.root.replaceChildren();
  }
}
