package seed

// drawings are all things that the program can draw, by name.
var drawings = map[string]func(*canvas, ink){
	"tee": drawTee, "blouse": drawBlouse, "knit": drawKnit, "jacket": drawJacket, "coat": drawCoat, "dress": drawDress,
	"skirt": drawSkirt, "pants": drawPants, "cap": drawCap, "scarf": drawScarf, "tote": drawTote, "backpack": drawBackpack,
	"handbag": drawHandbag, "wallet": drawWallet, "sneaker": drawSneaker, "pump": drawPump, "boot": drawBoot, "watch": drawWatch,
	"glasses": drawGlasses, "necklace": drawNecklace, "ring": drawRing, "onesie": drawOnesie,
	"chair": drawChair, "sofa": drawSofa, "desk": drawDesk, "shelf": drawShelf, "lamp": drawLamp, "cushion": drawCushion,
	"cup": drawCup, "bowl": drawBowl, "pot": drawPot, "plate": drawPlate, "vase": drawVase, "plant": drawPlant, "bed": drawBed,
	"blocks": drawBlocks, "bear": drawBear, "stroller": drawStroller,
	"lipstick": drawLipstick, "lotion": drawLotion, "perfume": drawPerfume, "compact": drawCompact,
	"book": drawBook, "volumes": drawVolumes, "magazine": drawMagazine, "record": drawRecord, "disc": drawDisc,
	"controller": drawController, "handheld": drawHandheld, "game": drawGameCase, "cards": drawCards, "figure": drawFigure,
	"phone": drawPhone, "laptop": drawLaptop, "camera": drawCamera, "headphones": drawHeadphones, "tv": drawTV,
	"speaker": drawSpeaker, "cooker": drawCooker, "fan": drawFan,
	"ball": drawBall, "racket": drawRacket, "tent": drawTent, "bicycle": drawBicycle, "rod": drawRod, "dumbbell": drawDumbbell, "golf": drawGolf,
	"yarn": drawYarn, "earrings": drawEarrings, "painting": drawPainting, "guitar": drawGuitar, "keyboard": drawKeyboard,
	"helmet": drawHelmet, "tyre": drawTyre, "drill": drawDrill, "ticket": drawTicket, "apples": drawApples, "jar": drawJar,
	"petbowl": drawPetBowl, "pens": drawPens, "teapot": drawTeapot, "coin": drawCoin, "parcel": drawParcel, "tag": drawTag,
}
