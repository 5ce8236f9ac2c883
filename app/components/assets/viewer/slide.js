export class SlideStage {}
