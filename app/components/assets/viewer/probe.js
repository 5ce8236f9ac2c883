/** What tests may read of a viewer; nothing can be changed through it. */

import { lengths } from "./measure.js";

export function probe(stage) {
  const { scene } = stage;
  return Object.freeze({
    get ready() {
      return stage.ready;
    },
    state: () => (scene ? sceneState(stage) : stage.state()),
    drawTimes: () => Object.fromEntries((stage.planes ?? []).map((plane) => [plane.axes.name, [...plane.times]])),
    voxel: (i, j, k) => scene.volume.value(scene.indexOf([i, j, k])),
    label: (i, j, k) => scene.labels?.[scene.indexOf([i, j, k])] ?? 0,
  });
}

function sceneState(stage) {
  const { scene } = stage;
  return {
    cross: [...scene.cross],
    window: { ...scene.window },
    layout: scene.layout,
    active: scene.active,
    tool: scene.tool,
    progress: scene.volume.progress,
    loaded: [...scene.volume.loaded],
    editing: stage.editing.on,
    dirty: stage.editing.dirty,
    changedVoxels: stage.editing.mask?.changedVoxels ?? 0,
    heat: scene.heat?.layer.number ?? null,
    focused: scene.focused,
    space: stage.space.ready,
    measurements: scene.measurements.map((one) => {
      const plane = stage.planes.find(({ axes }) => axes.name === one.plane);
      return { kind: one.kind, plane: one.plane, slice: one.slice, lengths: lengths(one, plane.steps), unit: scene.unit };
    }),
    planes: Object.fromEntries(
      stage.planes.map((plane) => [
        plane.axes.name,
        { slice: plane.slice, zoom: plane.zoom, scale: plane.scale, centre: [...plane.centre], letters: plane.letters, size: [plane.width, plane.height] },
      ]),
    ),
  };
}
