package seed

func books() node {
	return group(6, "Books & comics", "本・雑誌・漫画",
		leaf(601, "Fiction", "小説・文芸", reading, "book", prints, 700, 0.35,
			"長編小説「夜明けの汽水域」|novel “Brackish Dawn”", "文庫「雨宿りの手紙」|paperback “Letters in the Rain”", "ミステリー「時計塔の客」|mystery “The Clock Tower Guest”",
			"短編集「坂の上の金魚」|stories “Goldfish on the Hill”", "SF「星図にない街」|science fiction “A Town on No Chart”", "エッセイ「台所の余白」|essays “The Margins of a Kitchen”"),
		leaf(602, "Comics", "漫画", series, "volumes", prints, 3200, 0.6,
			"「ほしぞら食堂」|“Starlight Diner”", "「風待ちフットボール」|“Waiting for the Wind FC”", "「銀河鉄工所」|“Galactic Ironworks”",
			"「となりの妖怪係」|“The Yokai Next Door”", "「月面ベーカリー」|“Moonside Bakery”", "「路地裏ねこ探偵」|“Alley Cat Detective”"),
		leaf(603, "Business & study", "ビジネス・参考書", reading, "book", denims, 1100, 0.4,
			"英単語帳 2000|2,000-word English vocabulary", "簿記2級テキスト|bookkeeping grade 2 textbook", "はじめてのGo言語|First Steps in Go", "数学I・A 問題集|maths workbook I·A", "読みやすい文章の書き方|How to Write Clearly"),
		leaf(604, "Magazines", "雑誌", reading, "magazine", prints, 600, 0.35,
			"暮らしの雑誌 春号|home magazine, spring issue", "旅行誌 京都特集|travel magazine, Kyoto issue", "喫茶店めぐりムック|coffee-house guide", "カメラ雑誌 バックナンバー|camera magazine back issue"),
		leaf(605, "Art & photography", "アート・写真集", reading, "magazine", pastels, 2300, 0.5,
			"写真集「しずかな港」|photo book “Quiet Harbour”", "展覧会図録|exhibition catalogue", "画集「植物の線」|art book “Lines of Plants”"))
}

func musicAndFilm() node {
	return group(7, "Music & film", "CD・DVD・ブルーレイ",
		leaf(701, "CDs", "CD", media, "disc", prints, 900, 0.5,
			"アルバム「午前四時の水族館」|album “Aquarium at 4 a.m.”", "ジャズピアノ名盤|jazz piano classic", "アニメサウンドトラック|anime soundtrack", "初回限定盤シングル|limited first-press single"),
		leaf(702, "Records", "レコード", media, "record", prints, 2300, 0.6,
			"シティポップLP|city pop LP", "7インチ 昭和歌謡|7-inch Showa pop single", "ジャズLP 帯付き|jazz LP with obi", "映画音楽LP|film score LP"),
		leaf(703, "DVD & Blu-ray", "DVD・ブルーレイ", media, "disc", denims, 1500, 0.5,
			"映画「灯台と郵便」 Blu-ray|film “The Lighthouse Post” Blu-ray", "ライブDVD|concert DVD", "アニメ全話 DVD-BOX|complete anime DVD box"))
}

func games() node {
	return group(8, "Games", "ゲーム",
		group(801, "Consoles", "ゲーム機本体・周辺機器",
			leaf(80101, "Handhelds", "携帯ゲーム機", device, "handheld", gadgets, 14800, 0.4,
				"携帯ゲーム機 本体|handheld console", "携帯ゲーム機 有機ELモデル|handheld console, OLED", "レトロ携帯ゲーム機|retro handheld"),
			leaf(80102, "Controllers", "コントローラー", device, "controller", gadgets, 3600, 0.4,
				"ワイヤレスコントローラー|wireless controller", "プロ仕様コントローラー|pro controller", "復刻コントローラー|classic controller")),
		leaf(802, "Games", "ゲームソフト", media, "game", prints, 2900, 0.5,
			"「星降る谷の冒険」|“Valley of Falling Stars”", "「まちづくり日和」|“Fine Day for a Town”", "「深海レストラン」|“Deep Sea Bistro”", "「剣と昼寝の王国」|“Kingdom of Swords and Naps”", "「峠最速」|“Fastest on the Pass”"),
		leaf(803, "Trading cards", "トレーディングカード", paper, "cards", prints, 1500, 1.0,
			"レアカード まとめ売り|rare cards bundle", "キラカード 3枚セット|three holo cards", "構築済みデッキ|ready-made deck", "初版カード|first-edition card"))
}

func hobby() node {
	return group(9, "Toys & hobbies", "おもちゃ・ホビー",
		leaf(901, "Figures", "フィギュア", bare, "figure", prints, 3900, 0.7,
			"デフォルメフィギュア|chibi figure", "1/7スケールフィギュア|1/7 scale figure", "プライズフィギュア|prize figure", "食玩フィギュア|candy-toy figure"),
		leaf(902, "Coins & stamps", "コイン・切手", paper, "coin", []colour{gold, silver, camel}, 2600, 0.9,
			"記念硬貨セット|commemorative coin set", "古銭まとめ|old coins", "外国コイン|foreign coins"),
		leaf(903, "Puzzles & wooden toys", "パズル・木のおもちゃ", bare, "blocks", prints, 1700, 0.5,
			"木製パズル|wooden puzzle", "積み木 100ピース|100-piece blocks", "ドミノ倒しセット|domino run set"))
}

func electronics() node {
	return group(10, "Electronics", "家電・スマホ・カメラ",
		leaf(1001, "Smartphones", "スマートフォン", device, "phone", gadgets, 24800, 0.5,
			"スマートフォン 128GB SIMフリー|smartphone, 128 GB, SIM-free", "スマートフォン 64GB|smartphone, 64 GB", "5Gスマートフォン 256GB|5G smartphone, 256 GB"),
		leaf(1002, "Computers", "パソコン", device, "laptop", gadgets, 38000, 0.6,
			"13インチノートパソコン 16GB|13-inch laptop, 16 GB", "軽量ノートPC 1.0kg|1.0 kg laptop", "14インチ SSD512GB ノート|14-inch laptop, 512 GB SSD"),
		leaf(1003, "Cameras", "カメラ", device, "camera", gadgets, 16800, 0.8,
			"フィルムカメラ|film camera", "ミラーレス一眼 レンズキット|mirrorless camera with lens", "コンパクトデジカメ|compact digital camera", "レンジファインダー|rangefinder"),
		group(1004, "Audio", "オーディオ",
			leaf(100401, "Headphones", "ヘッドホン", device, "headphones", gadgets, 6800, 0.6,
				"ワイヤレスヘッドホン|wireless headphones", "ノイズキャンセリングヘッドホン|noise-cancelling headphones", "モニターヘッドホン|studio headphones"),
			leaf(100402, "Speakers", "スピーカー", device, "speaker", woods, 7900, 0.7,
				"ブックシェルフスピーカー|bookshelf speaker", "Bluetoothスピーカー|Bluetooth speaker", "モニタースピーカー ペア|pair of studio monitors")),
		leaf(1005, "TVs & monitors", "テレビ・モニター", device, "tv", []colour{black, white, silver}, 15800, 0.5,
			"27インチモニター|27-inch monitor", "32型液晶テレビ|32-inch TV", "4Kモニター|4K monitor"),
		group(1006, "Home appliances", "生活家電",
			leaf(100601, "Kitchen appliances", "キッチン家電", device, "cooker", []colour{white, black, red, mint}, 6900, 0.5,
				"炊飯器 3合|rice cooker for three", "IH炊飯ジャー 5.5合|induction rice cooker", "電気ケトル|electric kettle"),
			leaf(100602, "Fans & heaters", "季節家電", device, "fan", []colour{white, navy, beige, mint}, 4200, 0.4,
				"DC扇風機|DC fan", "レトロ扇風機|retro fan", "サーキュレーター|air circulator")))
}

func sports() node {
	return group(11, "Sports", "スポーツ",
		leaf(1101, "Ball sports", "球技", plain, "ball", sporty, 1900, 0.4,
			"サッカーボール 5号|football, size 5", "フットサルボール|futsal ball", "練習用サッカーボール|training football"),
		leaf(1102, "Tennis", "テニス", plain, "racket", sporty, 5600, 0.6,
			"硬式テニスラケット|tennis racket", "軟式ラケット|soft-tennis racket", "ジュニアラケット|junior racket"),
		leaf(1103, "Golf", "ゴルフ", plain, "golf", leathers, 9800, 0.7,
			"キャディバッグ|golf bag", "ゴルフクラブセット|set of golf clubs", "スタンドバッグ|stand bag"),
		leaf(1104, "Fitness", "フィットネス", plain, "dumbbell", sporty, 3200, 0.5,
			"ダンベル 5kg 2個|two 5 kg dumbbells", "可変式ダンベル|adjustable dumbbell", "バーベルセット|barbell set"),
		leaf(1105, "Fishing", "釣り", plain, "rod", sporty, 4800, 0.7,
			"エギングロッド|squid rod", "渓流竿|stream rod", "初心者釣りセット|beginner's fishing set"))
}

func outdoors() node {
	return group(12, "Outdoors", "アウトドア",
		leaf(1201, "Tents", "テント・タープ", plain, "tent", []colour{khaki, orange, beige, mint, navy}, 12800, 0.6,
			"2人用ドームテント|two-person dome tent", "ワンポールテント|one-pole tent", "ソロテント|solo tent"),
		leaf(1202, "Packs", "ザック", plain, "backpack", sporty, 6800, 0.6,
			"登山ザック 40L|40-litre rucksack", "トレイルランザック|trail-running pack", "デイハイク用リュック|day-hike pack"))
}

func vehicles() node {
	return group(13, "Cars & bicycles", "自動車・バイク・自転車",
		leaf(1301, "Bicycles", "自転車", plain, "bicycle", sporty, 16800, 0.6,
			"クロスバイク|hybrid bicycle", "ロードバイク|road bicycle", "シティサイクル|city bicycle", "ミニベロ|small-wheel bicycle"),
		leaf(1302, "Helmets", "ヘルメット", plain, "helmet", sporty, 7800, 0.6,
			"フルフェイスヘルメット|full-face helmet", "ジェットヘルメット|open-face helmet"),
		leaf(1303, "Tyres & wheels", "タイヤ・ホイール", bare, "tyre", metals, 14800, 0.6,
			"スタッドレスタイヤ 4本|four winter tyres", "アルミホイール 15インチ|15-inch alloy wheels", "夏タイヤ 4本セット|set of four summer tyres"))
}

func instruments() node {
	return group(16, "Musical instruments", "楽器・機材",
		leaf(1601, "Guitars", "ギター", plain, "guitar", []colour{wood, walnut, red, black, navy}, 15800, 0.7,
			"アコースティックギター|acoustic guitar", "クラシックギター|classical guitar", "ミニギター|travel guitar", "エレアコ|electro-acoustic guitar"),
		leaf(1602, "Keyboards", "キーボード・鍵盤", device, "keyboard", gadgets, 9800, 0.7,
			"61鍵キーボード|61-key keyboard", "電子ピアノ 88鍵|88-key digital piano", "シンセサイザー|synthesizer"))
}

func art() node {
	return group(17, "Art & antiques", "アート・骨董",
		leaf(1701, "Paintings & prints", "絵画・版画", bare, "painting", []colour{blue, green, orange, purple}, 5900, 0.9,
			"水彩画「湖畔」|watercolour “Lakeside”", "木版画「夕立」|woodblock print “Evening Shower”", "油彩 額装|framed oil painting", "シルクスクリーン|silkscreen print"),
		leaf(1702, "Ceramics", "陶磁器", bare, "vase", []colour{white, sky, navy, pink}, 6800, 0.9,
			"備前焼の花入|Bizen-ware vase", "青磁の花瓶|celadon vase", "有田焼の壺|Arita-ware jar"),
		leaf(1703, "Tea ceremony", "茶道具", bare, "teapot", []colour{red, black, mint, white}, 5900, 0.9,
			"南部鉄器|Nambu ironware", "萩焼の急須|Hagi-ware teapot"))
}

func tickets() node {
	return group(21, "Tickets", "チケット",
		leaf(2101, "Concerts", "コンサート", paper, "ticket", prints, 6900, 0.4,
			"野外フェス 1日券|day ticket, open-air festival", "室内楽コンサート 2枚|two chamber music tickets", "ライブチケット|concert ticket"),
		leaf(2102, "Leisure & vouchers", "レジャー・優待券", paper, "ticket", pastels, 2300, 0.4,
			"美術館ペアチケット|museum tickets for two", "水族館チケット|aquarium ticket", "温泉入浴券|hot spring voucher"))
}

func toolsAndOffice() node {
	return group(22, "Tools & stationery", "工具・文房具",
		leaf(2201, "Power tools", "電動工具", device, "drill", []colour{green, orange, blue, yellow}, 6900, 0.6,
			"充電式ドリルドライバー|cordless drill driver", "インパクトドライバー|impact driver", "電動ドリル|power drill"),
		leaf(2202, "Stationery", "文房具", plain, "pens", pastels, 900, 0.4,
			"色鉛筆セット|colouring pencil set", "ペン立て|pen stand", "万年筆インク|fountain pen ink", "限定シャーペン|limited mechanical pencil"))
}
